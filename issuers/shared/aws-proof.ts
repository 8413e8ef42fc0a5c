/**
 * When an ended AWS session counts as dead: a call that was seen to succeed under it is denied three times over
 * a minute. One denial is not enough, for AWS's endpoints learn of a policy one after another.
 */
import { z } from 'zod'
import type { LeaseHandle, Observation } from '../issuer.ts'
import type { Secret } from './secret.ts'
import type { AwsKeys } from './sts-client.ts'

const DENIALS = 3
const DENIED_FOR_MS = 60_000
const DENIED_AGAIN_MS = 30_000
/** How soon a session that still answers is asked again. */
const SOONEST_MS = 5_000
const LATEST_MS = 30_000

/** What is remembered of one session. Epoch ms. `since`: the first denial in a row without a success. */
const memory = z.strictObject({ seen: z.int(), since: z.int().optional(), denials: z.int().default(0) })
type Memory = z.infer<typeof memory>

/** What one more call tells, beside what is remembered of the ones before. Pure. */
export function judgeProbe(
  answer: 'allowed' | 'denied' | 'unknown',
  lease: Pick<LeaseHandle, 'remembered' | 'revokedAt'>,
  now: number,
): Observation {
  const before = recall(lease.remembered)
  switch (answer) {
    case 'unknown':
      return { proof: 'unknown', detail: 'the probe got no usable answer' }
    case 'allowed':
      return {
        proof: 'alive',
        remember: toText({ seen: now, denials: 0 }),
        lookAgainMs: again(lease.revokedAt, now),
      }
    case 'denied':
      if (before !== undefined && lease.revokedAt !== undefined) return denied(before, now)
      return {
        proof: 'unknown',
        ...(lease.revokedAt !== undefined && { lookAgainMs: Infinity }),
        detail: UNSEEN,
      }
  }
}

const UNSEEN =
  'it cannot be proven dead: the probe was never seen to succeed under this session; does its role allow it?'

function denied(before: Memory, now: number): Observation {
  const since = before.since ?? now
  const denials = before.denials + 1
  const remember = toText({ seen: before.seen, since, denials })
  if (denials >= DENIALS && now - since >= DENIED_FOR_MS) return { proof: 'dead', remember, deadSince: since }
  const detail = `denied ${denials} times in ${Math.round((now - since) / 1000)} s: not yet long enough`
  return { proof: 'unknown', remember, lookAgainMs: DENIED_AGAIN_MS, detail }
}

function again(revokedAt: number | undefined, now: number): number {
  const passed = revokedAt === undefined ? 0 : now - revokedAt
  return Math.max(SOONEST_MS, Math.min(LATEST_MS, Math.floor(passed / 2)))
}

function recall(text: string | undefined): Memory | undefined {
  if (text === undefined) return undefined
  try {
    return memory.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

function toText(value: Memory): string {
  return JSON.stringify(value)
}

const session = z.object({
  AccessKeyId: z.string(),
  SecretAccessKey: z.string(),
  SessionToken: z.string(),
})

/** The session's own keys, as they were handed out. */
export function sessionKeys(secret: Secret): AwsKeys {
  const { AccessKeyId, SecretAccessKey, SessionToken } = session.parse(JSON.parse(secret.reveal()))
  return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken }
}
