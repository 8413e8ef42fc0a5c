import { z } from 'zod'
import { Secret } from '../../issuers/shared/secret.ts'
import { sessionNonce } from '../broker/people/operator-nonce.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { providerOf } from './identity-provider.ts'
import { printable, printJson, shortTime } from './print.ts'
import { BrokerRefusal } from './refusal.ts'
import { writeSession } from './session-file.ts'
import { CommandError, EXIT, type Terminal } from './terminal.ts'

const challengeAnswer = z.looseObject({ challenge: z.string() })
const sessionAnswer = z.looseObject({
  token: z.string().transform(text => new Secret(text)),
  id: z.string(),
  name: z.string(),
  groups: z.array(z.string()),
  expires_at: z.string(),
})

/** `mayfly login`: signs in by browser or device, and keeps a session that may read, revoke and narrow. */
export async function login(
  terminal: Terminal,
  options: BrokerOption & { device?: boolean; json?: boolean },
): Promise<void> {
  const client = createClient(terminal, operatorUrl(terminal, options))
  const provider = await providerOf(client)
  const { challenge } = await client.call(
    { method: 'POST', path: '/v1/operator-sessions/challenge', body: {}, whenLost: 'repeat' },
    challengeAnswer,
  )
  const idToken = options.device
    ? await (await import('./sign-in-device.ts')).deviceSignIn(terminal, provider)
    : await (await import('./sign-in-browser.ts')).browserSignIn(terminal, provider, {
        ...{ nonce: sessionNonce(challenge), isFresh: false },
      })
  const body = { id_token: idToken.reveal(), challenge }
  const session = await client
    .call({ method: 'POST', path: '/v1/operator-sessions', body, whenLost: 'never' }, sessionAnswer)
    .catch((error: unknown) => {
      throw explained(error, options.device === true)
    })
  const { token, name, groups, expires_at: expiresAt } = session
  await writeSession(terminal, client.url, { token, name, expiresAt })
  if (options.json) return printJson(terminal, { id: session.id, name, groups, expires_at: expiresAt })
  terminal.out(
    `Signed in as ${printable(name)} until ${shortTime(expiresAt)}.\n` +
      'The session reads, revokes and narrows as far as your groups let it; what approves or widens asks you to\n' +
      'sign in again, for that alone.\n',
  )
}

function explained(error: unknown, device: boolean): unknown {
  if (!(error instanceof BrokerRefusal) || error.code !== 'evidence_rejected') return error
  const hint = device ? '\n  Sessions by device flow are off unless operators.oidc.device_flow is set.' : ''
  return new CommandError(
    `the broker did not accept the sign-in; its audit log says why (operator.sign_in_refused).${hint}`,
    { exitCode: EXIT.denied, cause: error },
  )
}
