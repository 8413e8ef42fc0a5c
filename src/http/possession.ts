/** The keys that a request shows that it holds: a DPoP proof in its header, and the certificate of its connection. */
import type { Context } from 'hono'
import { Secret } from '../../issuers/shared/secret.ts'
import { authenticateTask } from '../broker/authenticate.ts'
import {
  certificateKey,
  type HeldKeys,
  nextNonce,
  readProof,
  type ShownProof,
  useProof,
} from '../broker/bound/held-keys.ts'
import { BrokerError } from '../broker/broker-error.ts'
import type { TaskRow } from '../store/rows.ts'
import { clientCertificates } from './client-certificate.ts'
import type { Env } from './guard.ts'

/**
 * Of a request that opens something.
 *
 * @throws BrokerError `dpop_proof_invalid`, `dpop_nonce_needed`
 */
export async function shownKeys(c: Context<Env>): Promise<HeldKeys> {
  const proof = await shownProof(c)
  if (proof !== undefined) await useProof(c.get('broker'), proof)
  return heldKeys(c, proof)
}

/** The task whose token stands in the header, with the key that it is bound to. */
export async function presentedTask(c: Context<Env>): Promise<TaskRow> {
  const { token, scheme } = presented(c)
  // RFC 9449 section 7.2: as a bearer a bound token is not accepted, whatever else is sent with it.
  if (scheme === 'bearer') return authenticateTask(c.get('broker'), token, heldKeys(c, undefined))
  const proof = await shownProof(c, token)
  if (proof === undefined) throw unauthenticated()
  return taskShown(c, token, proof)
}

/** The task of a token that stands in the body, as a proof without `ath` has it. */
export async function presentedInBody(c: Context<Env>, token: Secret): Promise<TaskRow> {
  return taskShown(c, token, await shownProof(c))
}

/** The proof is used up last: whoever knows no token has nothing written down. */
async function taskShown(c: Context<Env>, token: Secret, proof: ShownProof | undefined): Promise<TaskRow> {
  const broker = c.get('broker')
  const task = await authenticateTask(broker, token, heldKeys(c, proof))
  if (proof !== undefined) await useProof(broker, proof)
  return task
}

/** @param token the access token that the proof has to be made for, where there is one */
async function shownProof(c: Context<Env>, token?: Secret): Promise<ShownProof | undefined> {
  const proof = c.req.header('dpop')
  if (proof === undefined) return undefined
  const broker = c.get('broker')
  // On the connection itself, so that an answer which asks for it has it, too.
  c.env.outgoing.setHeader('dpop-nonce', nextNonce(broker))
  const url = `${c.get('publicUrl').replace(/\/$/, '')}${c.req.path}`
  const request = {
    ...{ method: c.req.method, url },
    ...(token === undefined ? {} : { token: token.reveal() }),
  }
  return readProof(broker, proof, request)
}

function heldKeys(c: Context<Env>, proof: ShownProof | undefined): HeldKeys {
  const [certificate] = clientCertificates(c)
  return { ...certificateKey(certificate), ...(proof === undefined ? {} : { jkt: proof.jkt }) }
}

/** RFC 6750 section 2.1 and RFC 9449 section 7.1. @throws BrokerError `unauthenticated` where there is none. */
export function presented(c: Context): { token: Secret; scheme: 'bearer' | 'dpop' } {
  const [, scheme, token] = /^(Bearer|DPoP) ([\x21-\x7e]+)$/i.exec(c.req.header('authorization') ?? '') ?? []
  if (scheme === undefined || token === undefined) throw unauthenticated()
  return { token: new Secret(token), scheme: scheme.toLowerCase() === 'dpop' ? 'dpop' : 'bearer' }
}

const unauthenticated = () =>
  new BrokerError(
    'unauthenticated',
    'send the token as: Authorization: Bearer <token>, or DPoP <token> with a proof in the header DPoP',
  )
