/** Rows of a settled task to its receipt. Pure: what is not in the rows is not in the receipt. */
import type { LeaseRow, TaskRow } from '../store/rows.ts'
import type { Receipt, ReceiptCredential, ReceiptFlag } from './receipt.ts'

export type ReceiptFacts = {
  /** The broker's public URL. */
  issuer: string
  /** Epoch ms. */
  now: number
  /** Settled. */
  task: TaskRow
  owner: { business: string; technical: string; digest: string } | null
  /** Closed, oldest first. */
  leases: readonly LeaseRow[]
  /** Leases whose provider gave more than was asked. */
  wider: ReadonlySet<LeaseRow['id']>
  children: readonly { task: string; sha256: string }[]
  /** The most credentials that are listed. */
  credentialsMax: number
}

export function writeReceipt(facts: ReceiptFacts): Receipt {
  const { issuer, now, task, leases, children, credentialsMax } = facts
  const { ended_at: endedAt, settled_at: settledAt, end } = task
  if (endedAt === null || settledAt === null || end === null) throw new TypeError('the task is not settled')
  const credentials = leases.map(lease => describe(lease, endedAt, facts.wider.has(lease.id)))
  return {
    version: 1,
    iss: issuer,
    iat: Math.floor(now / 1_000),
    sub: task.id,
    task: {
      id: task.id,
      parent: task.parent,
      root: task.root,
      purpose: task.purpose,
      agent: agentOf(facts),
      identity: identityOf(task),
      ...behalfOf(task),
      opened_at: iso(task.opened_at),
      deadline: iso(task.deadline),
      ended_at: iso(endedAt),
      settled_at: iso(settledAt),
      end,
      end_detail: task.end_detail,
    },
    summary: summarise(credentials),
    credentials: credentials.slice(0, credentialsMax),
    credentials_omitted: Math.max(0, credentials.length - credentialsMax),
    children: children.map(child => ({ task: child.task, receipt_sha256: child.sha256 })),
  }
}

function describe(lease: LeaseRow, endedAt: number, wider: boolean): ReceiptCredential {
  const { closed_as: closedAs, closed_at: closedAt } = lease
  if (closedAs === null || closedAt === null) throw new TypeError('a lease is not closed')
  const death = deathOf(lease, closedAs)
  const offline = death.offlineUntil ?? death.at
  return {
    lease: lease.id,
    ask: lease.ask_id,
    issuer: lease.issuer,
    revocability: lease.revocability,
    authorization_details: { ...(JSON.parse(lease.granted) as object), type: lease.issuer },
    sha256: hashesOf(lease),
    flags: flagsOf(lease, wider),
    issued: issuedOf(lease),
    answered: lease.active_at === null || wider ? 'no' : 'presumed',
    intended_at: iso(lease.intended_at),
    issued_at: time(lease.active_at),
    expires_at: iso(lease.expires_at),
    provider_expires_at: time(lease.provider_expires_at),
    revoking_at: time(lease.revoking_at),
    revoked_at: time(lease.revoked_at),
    confirmed_dead_at: time(lease.confirmed_dead_at),
    closed_at: iso(closedAt),
    closed_as: closedAs,
    death: {
      basis: death.basis,
      at: time(death.at),
      for: death.for,
      offline_verifiers_until: time(death.offlineUntil),
    },
    past_end_ms: since(endedAt, death.at),
    past_end_offline_ms: since(endedAt, offline),
  }
}

type Death = {
  basis: ReceiptCredential['death']['basis']
  at: number | null
  for: ReceiptCredential['death']['for']
  offlineUntil: number | null
}

function deathOf(lease: LeaseRow, closedAs: ReceiptCredential['closed_as']): Death {
  const everyone = { for: 'everyone', offlineUntil: null } as const
  const expiry = lease.provider_expires_at ?? lease.dead_by
  if (closedAs === 'never_minted') return { ...everyone, basis: 'never_minted', at: null }
  if (closedAs === 'expired') return { ...everyone, basis: 'expired', at: expiry }
  // What is called revoked and was never seen dead is not told as confirmed.
  if (closedAs === 'expired_unconfirmed' || lease.confirmed_dead_at === null)
    return { ...everyone, basis: 'expired_unconfirmed', at: expiry }
  if (lease.revocability !== 'introspected')
    return { ...everyone, basis: 'confirmed', at: lease.confirmed_dead_at }
  // Introspection answers from the lease's state, which the commit at `revoking_at` changed.
  const at = lease.revoking_at ?? lease.confirmed_dead_at
  const offlineUntil = expiry > at ? expiry : null
  return { basis: 'confirmed', at, for: 'introspecting_verifiers', offlineUntil }
}

function flagsOf(lease: LeaseRow, wider: boolean): ReceiptFlag[] {
  const flags: ReceiptFlag[] = []
  const issued = issuedOf(lease)
  if (lease.may_leave_access === 1 && issued !== 'no') flags.push('may_leave_access')
  if (issued === 'unknown') flags.push('outcome_unknown')
  if (issued === 'yes' && lease.active_at === null) flags.push('minted_after_end')
  if (wider) flags.push('answered_wider')
  if (issued !== 'yes') flags.push('scope_as_asked')
  return flags
}

function issuedOf(lease: LeaseRow): ReceiptCredential['issued'] {
  if (lease.secret_sha256 !== null) return 'yes'
  return lease.closed_as === 'never_minted' ? 'no' : 'unknown'
}

function hashesOf({ secret_sha256: hex }: LeaseRow): ReceiptCredential['sha256'] {
  return hex === null ? null : { hex, base64: Buffer.from(hex, 'hex').toString('base64') }
}

function summarise(credentials: readonly ReceiptCredential[]): Receipt['summary'] {
  const died = (basis: ReceiptCredential['death']['basis']) =>
    credentials.filter(one => one.death.basis === basis).length
  const longest = (of: 'past_end_ms' | 'past_end_offline_ms') =>
    credentials.reduce((most, one) => Math.max(most, one[of]), 0)
  return {
    credentials: credentials.length,
    confirmed_dead: died('confirmed'),
    expired: died('expired'),
    expired_unconfirmed: died('expired_unconfirmed'),
    never_minted: died('never_minted'),
    may_have_left_access: credentials.filter(one => one.flags.includes('may_leave_access')).length,
    longest_past_end_ms: longest('past_end_ms'),
    longest_past_end_offline_ms: longest('past_end_offline_ms'),
  }
}

function agentOf({ task, owner }: ReceiptFacts): Receipt['task']['agent'] {
  const { agent: name, agent_digest: digest } = task
  if (owner === null) return { name, digest, owner: null, owner_digest: null }
  const { business, technical } = owner
  return { name, digest, owner: { business, technical }, owner_digest: owner.digest }
}

/** Who was attested; the claims stay in the ledger. */
function identityOf({ identity }: TaskRow): Receipt['task']['identity'] {
  const { attestor, issuer, subject } = JSON.parse(identity) as Partial<Record<string, unknown>>
  if (typeof attestor !== 'string' || typeof issuer !== 'string' || typeof subject !== 'string') return null
  return { attestor, issuer, subject }
}

/** A receipt of a task on nobody's behalf is to the letter what it always was. */
function behalfOf({ human_facts: facts }: TaskRow): Pick<Receipt['task'], 'on_behalf_of'> {
  if (facts === null) return {}
  const { issuer, subject, name } = JSON.parse(facts) as NonNullable<Receipt['task']['on_behalf_of']>
  return { on_behalf_of: { issuer, subject, name } }
}

const iso = (ms: number) => new Date(ms).toISOString()
const time = (ms: number | null) => (ms === null ? null : iso(ms))
const since = (endedAt: number, at: number | null) => (at === null ? 0 : Math.max(0, Math.ceil(at - endedAt)))
