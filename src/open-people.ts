/** The identity provider of operators and their roles, as configured. Opening makes no call. */
import type { AttestorDeps } from '../attestors/attestor.ts'
import { createHumanVerifier } from './broker/people/operator-identity.ts'
import type { People, Roles, SignIn } from './broker/people/people.ts'
import type { Settings } from './config.ts'

const hour = 60 * 60_000

export function openPeople(
  { operators, namespaces }: Pick<Settings, 'operators' | 'namespaces'>,
  deps: Pick<AttestorDeps, 'now' | 'fetch'>,
  roles: Roles,
): People {
  return {
    bootstrapTokens: operators.bootstrap_tokens,
    dualControl: operators.dual_control,
    roles,
    owning: (agent, team) => {
      const [namespace = '', name] = agent.split('.')
      const isOfNamespace = name !== undefined && Object.hasOwn(namespaces, namespace)
      return [
        ...(Object.hasOwn(operators.teams, team) ? operators.teams[team]! : []),
        ...(isOfNamespace ? namespaces[namespace]!.owners : []),
      ]
    },
    ...(operators.oidc === undefined ? {} : { signIn: openSignIn(operators.oidc, deps) }),
  }
}

function openSignIn(
  oidc: NonNullable<Settings['operators']['oidc']>,
  deps: Pick<AttestorDeps, 'now' | 'fetch'>,
): SignIn {
  return {
    issuer: oidc.issuer,
    clientId: oidc.client_id,
    scopes: oidc.scopes,
    redirectPorts: oidc.loopback_redirect_ports,
    freshAcrValues: oidc.fresh_acr_values,
    deviceFlow: oidc.device_flow,
    maxSessionMs: oidc.max_session_hours * hour,
    verify: createHumanVerifier(
      {
        issuer: oidc.issuer,
        clientId: oidc.client_id,
        audience: oidc.audience ?? oidc.client_id,
        algorithms: oidc.algorithms,
        jwksUri: oidc.jwks_uri,
        jwksHosts: oidc.jwks_hosts,
        groupsClaim: oidc.groups_claim,
        nameClaim: oidc.name_claim,
        emailClaim: oidc.email_claim,
      },
      deps,
    ),
  }
}
