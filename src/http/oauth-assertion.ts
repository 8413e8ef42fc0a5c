/**
 * RFC 7523 section 2.1, for clients that speak it instead of token exchange: the evidence is the assertion, and
 * everything else is as there. Its audience is the one that the attestor is configured with, alone (the attestors
 * take no other), which is what draft-ietf-oauth-rfc7523bis asks for.
 */
import type { Context } from 'hono'
import type { Env } from './guard.ts'
import type { ExchangeAnswer } from './oauth-pending.ts'
import { demandKnown, type Form, invalid, one, openAndAnswer, readOpening } from './oauth-request.ts'

export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const DEFAULT_PURPOSE = 'jwt-bearer grant'

/** Whoever is to wait for humans comes back by token exchange, with the task's token as subject token. */
export async function assertionGrant(c: Context<Env>, form: Form): Promise<ExchangeAnswer> {
  demandKnown(form, ['assertion'])
  // An empty one is evidence that is not accepted, answered like any other of that kind.
  const token = one(form, 'assertion')
  if (token === undefined) throw invalid('the parameter assertion is missing')
  return openAndAnswer(c, { ...readOpening(form, DEFAULT_PURPOSE), evidence: { type: 'jwt', token } })
}
