import type { Context } from 'hono'
import { Secret } from '../../issuers/shared/secret.ts'
import { BrokerError } from '../broker/broker-error.ts'

/** RFC 6750 section 2.1. @throws BrokerError `unauthenticated` where there is none. */
export function bearer(c: Context): Secret {
  const match = /^Bearer ([\x21-\x7e]+)$/i.exec(c.req.header('authorization') ?? '')
  if (match === null)
    throw new BrokerError('unauthenticated', 'send the token as: Authorization: Bearer <token>')
  return new Secret(match[1]!)
}

/** RFC 6749 section 2.3.1; the two parts are form-encoded before they are joined. */
export function basic(c: Context): { id: string; secret: Secret } | undefined {
  const match = /^Basic ([A-Za-z0-9+/]+={0,2})$/i.exec(c.req.header('authorization') ?? '')
  if (match === null) return undefined
  const [id, secret] = Buffer.from(match[1]!, 'base64').toString('utf8').split(/:(.*)/s)
  if (id === undefined || secret === undefined) return undefined
  const decode = (text: string) => {
    try {
      return decodeURIComponent(text.replaceAll('+', ' '))
    } catch {
      return text
    }
  }
  return { id: decode(id), secret: new Secret(decode(secret)) }
}
