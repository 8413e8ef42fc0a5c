/**
 * RFC 6749 section 4.4 for clients that authenticate by the certificate of their connection (RFC 8705 section 2.1, as
 * draft-ietf-oauth-spiffe-client-auth has it for X.509-SVIDs): `client_id` is the SPIFFE ID. The certificate is the
 * evidence, and everything else is as in token exchange.
 */
import type { Context } from 'hono'
import { certificateEvidence } from './client-certificate.ts'
import type { Env } from './guard.ts'
import type { ExchangeAnswer } from './oauth-pending.ts'
import { demand, demandKnown, type Form, openAndAnswer, readOpening } from './oauth-request.ts'

export const CLIENT_CREDENTIALS = 'client_credentials'
const DEFAULT_PURPOSE = 'client credentials grant'

/** Whoever is to wait for humans comes back by token exchange, with the task's token as subject token. */
export async function certificateGrant(c: Context<Env>, form: Form): Promise<ExchangeAnswer> {
  demandKnown(form, [])
  const subject = demand(form, 'client_id')
  const opening = readOpening(form, DEFAULT_PURPOSE)
  return openAndAnswer(c, { ...opening, subject, evidence: certificateEvidence(c, 'unauthenticated') })
}
