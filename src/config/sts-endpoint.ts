/** `sts_endpoint:` in mayfly.yaml: where AWS's SDKs open sessions with a web identity (docs/aws-facade.md). */
import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { nameShape } from './shapes.ts'

/** What something else is served under. */
const TAKEN = /^\/(?:v1|oauth|webhooks|metrics|livez|readyz|sts\/exchange)(?:\/|$)/

export const stsEndpointShape = z.strictObject({
  /** `/`: at the root, where nothing else is. */
  path: z
    .string()
    .max(LIMITS.labelChars)
    .regex(/^\/(?:[a-z0-9-]+(?:\/[a-z0-9-]+)*)?$/, 'expected a path such as /sts, without a slash at its end')
    .refine(path => !TAKEN.test(path), 'expected a path under which nothing else is served')
    .default('/sts'),
  /** Whose roles may be named there: of several that an agent may have a role of, the first. */
  issuers: z.array(nameShape).min(1).max(LIMITS.pluginInstances),
})

export function refuseUnknownStsIssuers(
  {
    sts_endpoint: endpoint,
    issuers,
  }: {
    sts_endpoint?: z.infer<typeof stsEndpointShape> | undefined
    issuers: Readonly<Record<string, { type: string }>>
  },
  context: z.RefinementCtx,
): void {
  const known = Object.keys(issuers).filter(name => issuers[name]?.type === 'aws-sts')
  for (const [index, name] of (endpoint?.issuers ?? []).entries()) {
    if (known.includes(name)) continue
    const message = `expected an issuer of type aws-sts: ${known.slice(0, 20).join(', ') || 'there is none'}`
    context.addIssue({ code: 'custom', path: ['sts_endpoint', 'issuers', index], message })
  }
}
