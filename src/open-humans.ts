/** Those who vouch for humans on whose behalf tasks run, as configured. Opening makes no call. */
import type { AttestorDeps } from '../attestors/attestor.ts'
import type { Humans } from './broker/people/human.ts'
import { createHumanVerifier } from './broker/people/operator-identity.ts'
import type { Settings } from './config.ts'

export function openHumans(
  { humans }: Pick<Settings, 'humans'>,
  deps: Pick<AttestorDeps, 'now' | 'fetch'>,
): { humans?: Humans } {
  if (humans.length === 0) return {}
  return { humans: new Map(humans.map(one => [one.issuer, { verify: createHumanVerifier(of(one), deps) }])) }
}

function of(one: Settings['humans'][number]): Parameters<typeof createHumanVerifier>[0] {
  const { github_login_claim: login, github_id_claim: id, github_host: provider } = one
  return {
    issuer: one.issuer,
    clientId: one.client_id ?? one.audience,
    audience: one.audience,
    algorithms: one.algorithms,
    jwksUri: one.jwks_uri,
    jwksHosts: one.jwks_hosts,
    groupsClaim: one.groups_claim,
    nameClaim: one.name_claim,
    emailClaim: one.email_claim,
    ...(login === undefined ? {} : { account: { provider, login, ...(id === undefined ? {} : { id }) } }),
  }
}
