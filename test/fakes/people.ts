/** An installation whose operators sign in at an identity provider of their own. */
import {
  type OperatorProvider,
  type Person,
  type SignInOptions,
  startOperatorProvider,
} from './identity/operator-provider.ts'
import { type ConfigChanges, createInstallation, type Installation } from './installation.ts'

export type PeopledInstallation = Installation & {
  people: OperatorProvider
  /** A fresh ID token, by the whole flow: see {@link OperatorProvider.signInAs}. */
  signInAs: OperatorProvider['signInAs']
}

/** Everybody whom tests know: one of each role, and nobody's Zoe. Cleo and Dan approve. */
export const PEOPLE: readonly Person[] = [
  { id: 'vera', name: 'Vera', groups: ['mayfly-viewer'] },
  { id: 'cleo', name: 'Cleo', groups: ['mayfly-approver', 'release-managers'] },
  { id: 'dan', name: 'Dan', groups: ['mayfly-approver', 'release-managers'] },
  { id: 'olga', name: 'Olga', groups: ['mayfly-owner', 'product@acme.test'] },
  { id: 'paul', name: 'Paul', groups: ['mayfly-platform', 'payments'] },
  { id: 'ada', name: 'Ada', groups: ['mayfly-admin'] },
  { id: 'bo', name: 'Bo', groups: ['mayfly-admin'] },
  { id: 'zoe', name: 'Zoe', groups: [] },
]

export type PeopleChanges = ConfigChanges & {
  people?: readonly Person[]
  /** Laid over `operators:` in the settings. */
  operators?: Record<string, unknown>
  /** Laid over `operators.oidc`. */
  oidc?: Record<string, unknown>
}

export async function createPeopledInstallation(changes: PeopleChanges = {}): Promise<PeopledInstallation> {
  const { people: persons = PEOPLE, operators = {}, oidc = {}, settings = {}, ...rest } = changes
  const people = await startOperatorProvider(persons)
  const chosen = {
    oidc: {
      ...{
        issuer: people.issuer,
        client_id: people.clientId,
        scopes: ['openid', 'profile', 'email', 'groups'],
      },
      ...oidc,
    },
    ...operators,
  }
  const withPeople = (given: Record<string, unknown>) => ({ operators: chosen, ...given })
  const installation = await createInstallation({ ...rest, settings: withPeople(settings) })
  people.setClock(installation.clock.now)
  return {
    ...installation,
    people,
    configure: next => installation.configure({ ...next, settings: withPeople(next.settings ?? {}) }),
    signInAs: (id: string, options?: SignInOptions) => people.signInAs(id, options),
    async close() {
      await Promise.all([installation.close(), people.close()])
    },
  }
}
