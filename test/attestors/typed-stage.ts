/** One attestor of a well-known issuer, opened against node-oidc-provider in that issuer's place. */
import type { AttestorDeps, AttestorType, Verdict } from '../../attestors/attestor.ts'
import { createOutbound } from '../../src/outbound.ts'
import { type IdentityProvider, startIdentityProvider } from '../fakes/identity/identity-provider.ts'
import { AUDIENCE, jwt, NOON, open } from './issuer-subject.ts'

export type TypedStage = {
  issuer: string
  provider: IdentityProvider
  /** Overrides come last; an `undefined` takes a claim out. */
  attest(
    claims?: Record<string, unknown>,
    options?: Parameters<IdentityProvider['mintToken']>[1],
  ): Promise<Verdict>
  close(): Promise<void>
}

export async function openTypedStage(
  type: AttestorType,
  claims: Record<string, unknown>,
  settings: (issuer: string) => Record<string, unknown> = () => ({}),
  deps: Partial<AttestorDeps> = {},
): Promise<TypedStage> {
  const outbound = createOutbound({ allowLoopback: true })
  const provider = await startIdentityProvider({ now: () => NOON, audience: AUDIENCE })
  const { issuer } = provider
  const attestor = open(
    type,
    { ...{ issuer, audience: AUDIENCE }, ...settings(issuer) },
    { now: () => NOON, fetch: url => outbound.get(url), ...deps },
  )
  return {
    issuer,
    provider,
    async attest(overrides = {}, options) {
      const wanted = Object.entries({ ...claims, ...overrides }).filter(([, value]) => value !== undefined)
      return attestor.attest(jwt(await provider.mintToken(Object.fromEntries(wanted), options)))
    },
    async close() {
      await provider.close()
      await outbound.close()
    },
  }
}
