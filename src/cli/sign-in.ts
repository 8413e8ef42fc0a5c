/** A human signs in at the identity provider that the broker names; what comes of it goes to the broker alone. */
import type { Secret } from '../../issuers/shared/secret.ts'
import { freshNonce } from '../broker/people/operator-nonce.ts'
import { parseToken } from '../keys/tokens.ts'
import type { Client } from './client.ts'
import { providerOf, type SignInTerminal } from './identity-provider.ts'
import { CommandError } from './terminal.ts'

export type { SignInTerminal }

/**
 * An ID token for one thing alone: the human proves again who they are (`prompt=login`, `max_age=0`), and the
 * nonce is made of what they agree to. It is good once, for five minutes.
 *
 * @param client to the broker, which says where to sign in. @param boundTo hex digest of exactly what is agreed
 * to. @throws CommandError
 */
export async function freshIdToken(
  terminal: SignInTerminal,
  client: Client,
  boundTo: string,
  { device = false }: { device?: boolean } = {},
): Promise<Secret> {
  if (device)
    throw new CommandError(
      'a device flow cannot be bound to what you agree to: its tokens carry no nonce.\n' +
        '  Run this where a browser can reach the command line (127.0.0.1), without --device.',
    )
  const provider = await providerOf(client)
  // Loaded when it is used: most commands sign nobody in.
  const { browserSignIn } = await import('./sign-in-browser.ts')
  return browserSignIn(terminal, provider, { nonce: freshNonce(boundTo), isFresh: true })
}

/**
 * What goes beside the operator's own token into the body of what approves or widens: nothing beside an operator
 * token, for which there is nobody to sign in.
 */
export async function freshBeside(
  terminal: SignInTerminal,
  client: Client,
  token: Secret,
  boundTo: string,
): Promise<{ id_token?: string }> {
  if (parseToken(token.reveal())?.kind !== 'session') return {}
  return { id_token: (await freshIdToken(terminal, client, boundTo)).reveal() }
}
