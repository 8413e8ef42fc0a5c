/**
 * Sessions of humans: for reading, revoking and narrowing. A session is opened with an ID token whose nonce is a
 * challenge of this installation, and neither approves nor widens anything: whoever holds it could be any
 * program on that human's machine.
 */
import type { Secret } from '../../../issuers/shared/secret.ts'
import { record } from '../../audit/record.ts'
import { parseToken } from '../../keys/tokens.ts'
import type { Page } from '../../store/ledger.ts'
import type { OperatorSessionRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { isOfBefore } from '../tasks/restored.ts'
import { actorOf, type Operator } from './operator.ts'
import type { HumanToken } from './operator-identity.ts'
import { sessionNonce } from './operator-nonce.ts'
import { operatorOf, refuseSignIn, useAuthentication, useToken, verifyHuman } from './operator-sign-in.ts'
import type { SignIn } from './people.ts'
import { sessionMac, verifiedSession } from './verified-people.ts'

/** @throws BrokerError `not_found` where no identity provider for operators is configured */
export function demandSignIn({ people }: Broker): SignIn {
  if (people.signIn !== undefined) return people.signIn
  throw new BrokerError(
    'not_found',
    'no identity provider for operators is configured (operators.oidc in mayfly.yaml)',
  )
}

/** Nothing is kept of it until it is used: whoever asks for many costs the ledger nothing. */
export async function newChallenge(broker: Broker): Promise<{ challenge: string; expiresAt: number }> {
  demandSignIn(broker)
  const expiresAt = (await broker.ledger.now()) + broker.limits.signInChallengeMs
  const id = broker.newId('chl')
  return { challenge: `${id}.${expiresAt}.${challengeMac(broker, id, expiresAt)}`, expiresAt }
}

/**
 * @throws BrokerError `evidence_rejected` whatever was wrong with the sign-in (the audit log says), or
 * `attestation_unavailable`
 */
export async function openSession(
  broker: Broker,
  { idToken, challenge }: { idToken: Secret; challenge: string },
): Promise<{ token: Secret; session: OperatorSessionRow }> {
  const signIn = demandSignIn(broker)
  const challengeId = await readChallenge(broker, challenge)
  const human = await verifyHuman(broker, signIn, idToken)
  const isAsked = human.nonce === undefined ? signIn.deviceFlow : human.nonce === sessionNonce(challenge)
  if (!isAsked) throw await refuseSignIn(broker, 'nonce_wrong', 'the nonce is not of the challenge')
  const token = broker.newToken('session')
  const session = await broker.ledger.write(async tx => {
    const challengeUse = {
      ...{
        id: `operator-challenge/${challengeId}`,
        task: 'operator',
        request_digest: 'session',
        bound_key: null,
      },
      ...{ used_at: tx.now, until: tx.now + broker.limits.signInChallengeMs },
    }
    if ((await tx.useEvidence(challengeUse)) !== undefined) return undefined
    if (!(await useToken(tx, human, 'session'))) return undefined
    // What began this session agrees to nothing: not even to the first thing that is asked of them.
    await useAuthentication(broker, tx, human, 'session')
    const row = sessionRow(broker, human, token, tx.now, signIn)
    await tx.insertOperatorSession(row, tx.now - broker.limits.operatorSessionsKeptMs)
    await record(tx, 'operator.signed_in', { actor: actorOf(operatorOf(human)) }, { session: row.id })
    return row
  })
  if (session !== undefined) return { token, session }
  throw await refuseSignIn(broker, 'used_before', 'the sign-in or its challenge was used before')
}

/** @throws BrokerError `unauthenticated` */
export async function authenticateSession(broker: Broker, token: Secret): Promise<Operator> {
  const row = await sessionOf(broker, token)
  const groups = JSON.parse(row.groups) as string[]
  return { id: `${row.issuer}#${row.subject}`, name: row.name, groups, kind: 'human', session: row.id }
}

/** @throws BrokerError `unauthenticated` */
export async function sessionOf(broker: Broker, token: Secret): Promise<OperatorSessionRow> {
  const row = await broker.ledger.read.operatorSessionByToken(broker.keyring.tokenHash(token.reveal()))
  // A session of a provider that is no longer the configured one is nobody's.
  if (row !== undefined && row.issuer === broker.people.signIn?.issuer) {
    const { created_at, ended_at, expires_at } = verifiedSession(broker, row)
    const isOver = ended_at !== null || expires_at <= (await broker.ledger.now())
    if (!isOver && !(await isOfBefore(broker, created_at))) return row
  }
  throw new BrokerError('unauthenticated', 'the session is over: sign in with mayfly login')
}

/** @throws BrokerError `not_found` */
export async function endSession(broker: Broker, id: string, by: string): Promise<OperatorSessionRow> {
  const before = await broker.ledger.read.operatorSession(id)
  if (before === undefined) throw new BrokerError('not_found', 'no such session')
  await broker.ledger.write(async tx => {
    if (await tx.endOperatorSession(id, by))
      await record(tx, 'operator.session_ended', { actor: by }, { session: id })
  })
  return (await broker.ledger.read.operatorSession(id)) ?? before
}

export async function openSessions(
  broker: Broker,
  page: { limit: number; after?: string },
): Promise<Page<OperatorSessionRow>> {
  return broker.ledger.read.operatorSessions({ open: await broker.ledger.now() }, page)
}

export const isSessionToken = (token: Secret): boolean => parseToken(token.reveal())?.kind === 'session'

function sessionRow(
  broker: Broker,
  { issuer, subject, name, groups }: HumanToken,
  token: Secret,
  now: number,
  { maxSessionMs }: SignIn,
): OperatorSessionRow {
  const row = {
    ...{ id: broker.newId('ops'), issuer, subject, name, groups: JSON.stringify(groups) },
    ...{ token_hash: broker.keyring.tokenHash(token.reveal()), created_at: now },
    ...{ expires_at: now + maxSessionMs, ended_at: null, ended_by: null },
  }
  return { ...row, mac: sessionMac(broker, row) }
}

function challengeMac({ keyring }: Broker, id: string, until: number): string {
  return Buffer.from(keyring.mac('operator-challenge', { id, until })).toString('base64url')
}

/** @returns its id. @throws BrokerError `evidence_rejected` */
async function readChallenge(broker: Broker, challenge: string): Promise<string> {
  const [, id, until, mac] = /^(chl_[0-9a-z]{26})\.(\d{1,15})\.([\w-]{1,300})$/.exec(challenge) ?? []
  if (id !== undefined && until !== undefined && mac !== undefined) {
    const isOurs = broker.keyring.verifyMac(
      'operator-challenge',
      { id, until: Number(until) },
      Buffer.from(mac, 'base64url').toString(),
    )
    if (isOurs && Number(until) > (await broker.ledger.now())) return id
  }
  throw await refuseSignIn(broker, 'challenge_wrong', 'the challenge is not ours, or past its time')
}
