/** Where the settings say that a trust domain's bundle comes from, and how it is opened. */
import { z } from 'zod'
import type { AttestorDeps } from '../attestor.ts'
import type { Algorithm } from './algorithms.ts'
import { createFederatedBundle } from './bundle-federation.ts'
import { keySetUrl, seconds } from './settings.ts'
import type { BundleSource } from './spiffe-bundle.ts'
import { createBundleFile } from './spiffe-bundle-file.ts'
import { TRUST_DOMAIN } from './spiffe-id.ts'
import { createWorkloadBundles } from './workload-bundles.ts'
import { socketOf, workloadSocket } from './workload-socket.ts'

const bundle = z
  .strictObject({
    file: z.string().min(1).optional(),
    /** A bundle endpoint whose certificate the web's authorities vouch for (SPIFFE Federation section 5.2.1). */
    https_web: z
      .strictObject({
        url: keySetUrl,
        /** In the place of the publisher's `spiffe_refresh_hint`. */
        refresh_seconds: seconds(3_600).optional(),
      })
      .optional(),
    workload_api: z
      .strictObject({
        /** An absolute path. Absent: what `SPIFFE_ENDPOINT_SOCKET` says. */
        socket: workloadSocket.optional(),
      })
      .optional(),
    https_spiffe: z
      .never({ error: 'is not offered: take https_web, or the Workload API of an agent that federates' })
      .optional(),
  })
  .refine(({ file, https_web, workload_api }) => countOf([file, https_web, workload_api]) === 1, {
    message: 'expected one of file, https_web and workload_api',
  })

/** The keys of settings that say it, and whose it is: one bundle has to be there. */
export const bundleSettings = {
  trust_domain: z.string().regex(TRUST_DOMAIN, 'must be a bare trust domain, as in example.org'),
  /** The same as `bundle.file`: a JWKS with `use: jwt-svid` and `x509-svid`. Read again when it changes. */
  bundle_file: z.string().min(1).optional(),
  bundle: bundle.optional(),
}

export type BundleSettings = {
  trust_domain: string
  bundle_file?: string | undefined
  bundle?: z.infer<typeof bundle> | undefined
}

/** For `superRefine`. */
export function refuseNotOneBundle({ bundle_file, bundle }: BundleSettings, context: z.RefinementCtx): void {
  if (countOf([bundle_file, bundle]) === 1) return
  context.addIssue({ code: 'custom', path: ['bundle'], message: 'expected this or bundle_file, not both' })
}

/** For `usesHost`: what of the broker's own host these settings make use of. */
export function hostOfBundle({ bundle }: BundleSettings): string | undefined {
  return bundle?.workload_api === undefined ? undefined : "the Workload API of the broker's host"
}

/** @throws Error where the Workload API is meant, and neither the settings nor the host say where it is */
export function openBundle(
  { trust_domain: trustDomain, bundle_file, bundle = {} }: BundleSettings,
  algorithms: readonly Algorithm[],
  deps: AttestorDeps,
): BundleSource {
  const { https_web: web, workload_api: workloadApi, file = bundle_file } = bundle
  if (web !== undefined)
    return createFederatedBundle({ url: web.url, refreshS: web.refresh_seconds }, algorithms, deps)
  if (workloadApi === undefined) return createBundleFile(file ?? '', algorithms, deps)
  const socket = workloadApi.socket ?? socketOf(deps.workloadApi)
  return createWorkloadBundles({ socket, trustDomain }, algorithms, deps)
}

function countOf(values: readonly unknown[]): number {
  return values.filter(value => value !== undefined).length
}
