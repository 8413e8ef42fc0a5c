/** Where the broker has its operators sign in. */
import { z } from 'zod'
import { Secret } from '../../issuers/shared/secret.ts'
import type { Client } from './client.ts'
import { CommandError, type Terminal } from './terminal.ts'

export type SignInTerminal = Pick<
  Terminal,
  'env' | 'err' | 'fetch' | 'schedule' | 'run' | 'readFile' | 'hasTerminal'
>

const providerAnswer = z.looseObject({
  issuer: z.string(),
  client_id: z.string(),
  scopes: z.array(z.string()),
  redirect_ports: z.array(z.int()),
  acr_values: z.array(z.string()),
})
export type Provider = z.infer<typeof providerAnswer>

/** @throws BrokerRefusal where the broker has them sign in nowhere */
export function providerOf(client: Client): Promise<Provider> {
  return client.call(
    { method: 'GET', path: '/v1/operator-sessions/provider', whenLost: 'repeat' },
    providerAnswer,
  )
}

/** @throws CommandError where the provider gave none */
export function idTokenIn(tokens: { id_token?: string }): Secret {
  if (tokens.id_token !== undefined) return new Secret(tokens.id_token)
  throw new CommandError('the identity provider gave no ID token: is openid among the scopes?')
}
