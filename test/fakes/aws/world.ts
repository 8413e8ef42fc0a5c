/**
 * What the AWS stand-in remembers: principals, roles, sessions and objects, all in memory.
 *
 * Time and randomness belong to the caller, so that a simulation can own them.
 */
import type { PolicyDocument } from './policy-document.ts'
import type { OidcProvider } from './web-identity.ts'

export type Tag = { key: string; value: string }

export type User = {
  kind: 'user'
  name: string
  arn: string
  /** `AIDA...`; what `aws:userid` holds. */
  userId: string
  accessKeyId: string
  secretAccessKey: string
  policy: PolicyDocument | undefined
}

/** One write of an inline policy. `document` is undefined for a deletion. */
export type InlineVersion = { text: string; document: PolicyDocument | undefined; effectiveAt: number }

export type Role = {
  name: string
  arn: string
  /** `AROA...`; the first half of a session's `aws:userid`. */
  roleId: string
  /** Principal ARNs in the trust policy, or the account's root ARN. */
  trusts: readonly string[]
  /** Actions the trust policy gives them. */
  trustActions: readonly string[]
  /** The policy the role was made with: attached, so it is not listed among the inline ones. */
  attached: PolicyDocument
  /** Every write of every inline policy that may still matter, oldest first. */
  inline: Map<string, InlineVersion[]>
  maxSessionSeconds: number
  createdAt: number
  /** Whom else its trust policy names: one subject of an OIDC provider, and what it may do. */
  webIdentity: WebIdentityTrust | undefined
}

export type WebIdentityTrust = { provider: string; subject: string; actions: readonly string[] }

export type Session = {
  kind: 'session'
  accessKeyId: string
  secretAccessKey: string
  sessionToken: string
  role: Role
  sessionName: string
  sourceIdentity: string | undefined
  tags: readonly Tag[]
  transitiveTagKeys: readonly string[]
  policy: PolicyDocument | undefined
  /** Epoch ms, whole seconds: what `aws:TokenIssueTime` holds. */
  issuedAt: number
  /** Epoch ms, whole seconds. */
  expiresAt: number
  /** Access key that asked for it. */
  issuedTo: string
}

export type Principal = User | Session

export type World = {
  account: string
  /** Epoch ms. */
  now: () => number
  random: (bytes: number) => Uint8Array
  /** How far a signature's date may be from the clock, either way, ms. */
  signatureWindowMs: number
  /** ms between a write of an inline role policy and its effect. */
  denyDelayMs: number
  /** By access key id. */
  users: Map<string, User>
  /** By name. */
  roles: Map<string, Role>
  /** By access key id. Never emptied: it is the truth of every session ever given. */
  sessions: Map<string, Session>
  /** By URL. */
  oidcProviders: Map<string, OidcProvider>
  /** Bucket, then key. */
  buckets: Map<string, Map<string, Uint8Array>>
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** An id as AWS makes them: a four-letter prefix and characters of base 32 (`ASIA`, `AROA`, `AIDA`). */
export function uniqueId(world: World, prefix: string): string {
  const characters = Array.from(world.random(16), byte => BASE32[byte & 31])
  return prefix + characters.join('')
}

export function requestId(world: World): string {
  const hex = Buffer.from(world.random(16)).toString('hex')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** Epoch ms cut to the whole second, which is the precision of AWS's own time keys. */
export function wholeSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}

/** `2026-01-31T12:00:00Z`: AWS writes no fraction. */
export function isoSeconds(ms: number): string {
  return new Date(wholeSecond(ms)).toISOString().replace('.000Z', 'Z')
}

/** The ARN that calls are made as. */
export function principalArn(world: World, principal: Principal): string {
  if (principal.kind === 'user') return principal.arn
  return `arn:aws:sts::${world.account}:assumed-role/${principal.role.name}/${principal.sessionName}`
}

/** `aws:userid`: the user's id, or role id and session name. */
export function principalUserId(principal: Principal): string {
  return principal.kind === 'user' ? principal.userId : `${principal.role.roleId}:${principal.sessionName}`
}

/** The inline policies of a role that AWS applies at this moment. */
export function effectiveInline(world: World, role: Role): PolicyDocument[] {
  return [...role.inline.values()].flatMap(versions => {
    const document = versions.findLast(version => version.effectiveAt <= world.now())?.document
    return document === undefined ? [] : [document]
  })
}

/** The inline policies of a role as last written, by name, whether in effect or not. */
export function writtenInline(role: Role): Map<string, string> {
  const written = new Map<string, string>()
  for (const [name, versions] of role.inline) {
    const last = versions.at(-1)
    if (last?.document !== undefined) written.set(name, last.text)
  }
  return written
}

/** Writes (or with `document` undefined deletes) an inline policy; versions that can no longer apply are dropped. */
export function writeInline(
  world: World,
  role: Role,
  name: string,
  text: string,
  document: PolicyDocument | undefined,
): void {
  const versions = role.inline.get(name) ?? []
  const inEffect = versions.findLastIndex(version => version.effectiveAt <= world.now())
  const kept = versions.slice(Math.max(inEffect, 0))
  role.inline.set(name, [...kept, { text, document, effectiveAt: world.now() + world.denyDelayMs }])
}
