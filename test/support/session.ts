/** A session of a human, by the whole flow: challenge, sign-in, session. */
import { sessionNonce } from '../../src/broker/people/operator-nonce.ts'
import type { RunningServer } from '../../src/server.ts'
import type { PeopledInstallation } from '../fakes/people.ts'

/** @returns the token of the session */
export async function sessionOf(
  { operatorUrl }: Pick<RunningServer, 'operatorUrl'>,
  { signInAs }: Pick<PeopledInstallation, 'signInAs'>,
  id: string,
): Promise<string> {
  const post = async (path: string, body: unknown) => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(operatorUrl + path, { method: 'POST', headers, body: JSON.stringify(body) })
    return (await answer.json()) as Record<string, string>
  }
  const { challenge = '' } = await post('/v1/operator-sessions/challenge', {})
  const id_token = await signInAs(id, { nonce: sessionNonce(challenge) })
  const { token, ...refused } = await post('/v1/operator-sessions', { id_token, challenge })
  if (token === undefined) throw new Error(`not signed in: ${JSON.stringify(refused)}`)
  return token
}
