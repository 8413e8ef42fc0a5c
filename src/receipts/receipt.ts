/**
 * The receipt: the signed statement, for one settled task, of every credential it held and how each one
 * ended. docs/receipts.md says what each member proves and what it does not. Times are RFC 3339 in UTC,
 * figures are milliseconds.
 */
import { z } from 'zod'

/** The JWS header `typ` (RFC 7515 section 4.1.9): no other token of the broker has it, and no receipt another. */
export const RECEIPT_TYP = 'mayfly-receipt+jwt'

const time = z.iso.datetime()
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const milliseconds = z.int().min(0)

export const receiptFlag = z.enum([
  /** Its holder could have planted access that outlives it: keys, hooks, secrets, workflows, IAM. */
  'may_leave_access',
  /** The provider's answer was lost: whether anything was minted is not known, and nobody was given anything. */
  'outcome_unknown',
  /** The provider's answer came after the task had ended: it was given to nobody. */
  'minted_after_end',
  /** The provider gave more than was asked: it was given to nobody and revoked at once. */
  'answered_wider',
  /** The provider gave no answer, so `authorization_details` is what was asked. */
  'scope_as_asked',
])

export const credentialShape = z.strictObject({
  lease: z.string(),
  ask: z.string(),
  issuer: z.string(),
  revocability: z.enum(['immediate', 'propagating', 'introspected', 'expiry_only']),
  /** As the provider granted it (RFC 9396). */
  authorization_details: z.looseObject({ type: z.string() }),
  /** Of the credential itself; base64 is how GitHub's audit log writes `hashed_token`. Null: none ever came. */
  sha256: z.strictObject({ hex: sha256, base64: z.base64() }).nullable(),
  flags: z.array(receiptFlag),
  issued: z.enum(['yes', 'no', 'unknown']),
  /** `presumed`: the record was made, and then the answer sent; that it arrived nobody can know. */
  answered: z.enum(['presumed', 'no']),
  intended_at: time,
  issued_at: time.nullable(),
  /** Until when the broker promised it at most. */
  expires_at: time,
  /** Until when its provider would have taken it. */
  provider_expires_at: time.nullable(),
  revoking_at: time.nullable(),
  /** When the provider had accepted the revocation. */
  revoked_at: time.nullable(),
  /** When it was seen dead. */
  confirmed_dead_at: time.nullable(),
  closed_at: time,
  closed_as: z.enum(['revoked', 'already_gone', 'expired', 'never_minted', 'expired_unconfirmed']),
  death: z.strictObject({
    /**
     * `confirmed`: seen dead after it was revoked. `expired`: its provider's own expiry is past, and nothing
     * earlier was to be had. `expired_unconfirmed`: the same, where a revocation should have come and was not
     * confirmed. `never_minted`: the provider's word that nothing came to be.
     */
    basis: z.enum(['confirmed', 'expired', 'expired_unconfirmed', 'never_minted']),
    /** From then on of no use to those in `for`. Null where there never was anything. */
    at: time.nullable(),
    for: z.enum(['everyone', 'introspecting_verifiers']),
    /** Whoever checks only its signature takes it until then. Null where that is nobody. */
    offline_verifiers_until: time.nullable(),
  }),
  /** How long after the task's end it can have worked, at most, for those in `death.for`. */
  past_end_ms: milliseconds,
  /** The same for whoever checks only its signature. */
  past_end_offline_ms: milliseconds,
})

export const receiptShape = z.strictObject({
  version: z.literal(1),
  /** The broker's public URL. */
  iss: z.string(),
  /** Epoch seconds. */
  iat: z.int(),
  /** The task's id: one task, one receipt. */
  sub: z.string(),
  task: z.strictObject({
    id: z.string(),
    parent: z.string().nullable(),
    root: z.string(),
    purpose: z.string(),
    agent: z.strictObject({
      name: z.string(),
      /** SHA-256 of the agent's document that the task was opened by. */
      digest: z.string(),
      owner: z.strictObject({ business: z.string(), technical: z.string() }).nullable(),
      /** SHA-256 of the document that `owner` was read from: the one in force when this was signed. */
      owner_digest: z.string().nullable(),
    }),
    identity: z.strictObject({ attestor: z.string(), issuer: z.string(), subject: z.string() }).nullable(),
    /** On whose behalf it ran; absent where on nobody's. */
    on_behalf_of: z.strictObject({ issuer: z.string(), subject: z.string(), name: z.string() }).optional(),
    opened_at: time,
    deadline: time,
    ended_at: time,
    settled_at: time,
    end: z.enum(['completed', 'failed', 'cancelled', 'lapsed', 'expired', 'revoked']),
    end_detail: z.string().nullable(),
  }),
  /** Over all credentials, the omitted ones too. */
  summary: z.strictObject({
    credentials: z.int().min(0),
    confirmed_dead: z.int().min(0),
    expired: z.int().min(0),
    expired_unconfirmed: z.int().min(0),
    never_minted: z.int().min(0),
    may_have_left_access: z.int().min(0),
    longest_past_end_ms: milliseconds,
    longest_past_end_offline_ms: milliseconds,
  }),
  /** Oldest first. */
  credentials: z.array(credentialShape),
  /** How many more there were than are listed: the latest ones. */
  credentials_omitted: z.int().min(0),
  /** SHA-256 (hex) of each child's receipt, as the compact JWS in ASCII. */
  children: z.array(z.strictObject({ task: z.string(), receipt_sha256: sha256 })),
})

export type Receipt = z.infer<typeof receiptShape>
export type ReceiptCredential = z.infer<typeof credentialShape>
export type ReceiptFlag = z.infer<typeof receiptFlag>
