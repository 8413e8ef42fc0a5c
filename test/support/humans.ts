/** Humans who sign in, without an identity provider: what the verifier would have found is the token itself. */
import { randomInt, randomUUID } from 'node:crypto'
import { accept } from '../../attestors/shared/checked.ts'
import type { Broker } from '../../src/broker/broker.ts'
import type { HumanToken } from '../../src/broker/people/operator-identity.ts'
import { freshNonce } from '../../src/broker/people/operator-nonce.ts'
import type { People } from '../../src/broker/people/people.ts'

export type Person = { subject: string; groups?: string[]; name?: string; email?: string }

const ISSUER = 'https://people.test'

/** Whoever is in a group may approve; everything else is as with operator tokens. */
export function people(): People {
  return {
    bootstrapTokens: true,
    signIn: {
      ...{ issuer: ISSUER, clientId: 'mayfly', scopes: [], redirectPorts: [], freshAcrValues: [] },
      ...{ deviceFlow: false, maxSessionMs: 1_000 },
      verify: async token => accept(JSON.parse(token) as HumanToken),
    },
    roles: {
      hash: () => 'roles',
      judge: async ({ operator }) => ({ allowed: operator.groups.length > 0, determining: [] }),
    },
    dualControl: { policies: false, keys: false },
  }
}

/** An ID token of a sign-in for this alone, a moment ago. */
export function freshToken(
  { now }: Pick<Broker, 'now'>,
  { subject, groups = ['approvers'], name = subject, email }: Person,
  boundTo: string,
): string {
  const id = randomUUID()
  // Each sign-in is another moment: one of them is good for one thing.
  const authenticatedAt = now() - randomInt(60_000)
  const token: HumanToken = {
    ...{ issuer: ISSUER, subject, name, groups, nonce: freshNonce(boundTo), authenticatedAt },
    ...(email === undefined ? {} : { email }),
    replay: { id, singleUse: true, until: now() + 60_000, issuedAt: now() },
  }
  return JSON.stringify(token)
}
