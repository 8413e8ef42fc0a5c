/** An installation whose agents act on behalf of humans: Hanna, who may write to acme/api, and whoever is named. */
import type { ConfigChanges } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'

export const HUMANS = 'mayfly-delegation'
const LOGIN_CLAIM = 'github_login'
const ID_CLAIM = 'github_id'

export type Delegation = PeopledInstallation & {
  /** An ID token for delegation, of Hanna unless claims say otherwise, by the provider that CI jobs have, too. */
  humanToken(claims?: Record<string, unknown>): Promise<string>
  /** `ISSUER#hanna`. */
  hanna: string
}

export async function createDelegation(changes: ConfigChanges = {}): Promise<Delegation> {
  const installation = await createPeopledInstallation()
  const { identityProvider, people, github, agents } = installation
  const provider = (issuer: string) => ({
    ...{ issuer, audience: HUMANS, github_host: '127.0.0.1' },
    ...{ github_login_claim: LOGIN_CLAIM, github_id_claim: ID_CLAIM },
  })
  const humans = [provider(identityProvider.issuer), provider(people.issuer)]
  const may_act_for = { groups: ['engineering'] }
  const acting = Object.fromEntries(
    Object.entries(agents).map(([name, agent]) => [name, { ...agent, may_act_for }]),
  )
  const configure = ({ settings = {}, agents: other = {}, ...rest }: ConfigChanges) =>
    installation.configure({ ...rest, settings: { humans, ...settings }, agents: { ...acting, ...other } })
  await configure(changes)
  github.setCollaborator(1, { login: 'hanna', id: 4711, role: 'write' })
  return {
    ...installation,
    configure,
    hanna: `${identityProvider.issuer}#hanna`,
    humanToken: (claims = {}) =>
      identityProvider.mintToken({
        ...{ aud: HUMANS, sub: 'hanna', name: 'Hanna', groups: ['engineering'] },
        ...{ [LOGIN_CLAIM]: 'hanna', [ID_CLAIM]: 4711, ...claims },
      }),
  }
}
