import { describe, expect, test } from 'vitest'
import { type Receipt, receiptShape } from '../../src/receipts/receipt.ts'
import { type ReceiptFacts, writeReceipt } from '../../src/receipts/write-receipt.ts'
import type { LeaseRow } from '../../src/store/rows.ts'
import { activeLease, lease, minute, start, task } from '../conformance/store/subject.ts'

const end = start + 10 * minute
const hash = 'ab'.repeat(32)
const settled = task('t', {
  ...{ state: 'settled', end: 'completed', ended_at: end, settled_at: end + minute },
  identity: JSON.stringify({ attestor: 'a', issuer: 'https://i', subject: 's', claims: { secret: 1 } }),
})
const granted = JSON.stringify({ repositories: ['acme/api'] })

function write(leases: LeaseRow[], over: Partial<ReceiptFacts> = {}): Receipt {
  const receipt = writeReceipt({
    ...{ issuer: 'https://mayfly', now: end + 2 * minute, task: settled, leases, children: [] },
    ...{ owner: null, wider: new Set(), credentialsMax: 10, ...over },
  })
  expect(receiptShape.parse(receipt)).toEqual(receipt)
  return receipt
}

const closed = (over: Partial<LeaseRow>): LeaseRow =>
  activeLease('l', 't', {
    ...{ state: 'closed', closed_as: 'revoked', closed_at: end + minute, due_at: null },
    ...{ sealed_secret: null, secret_sha256: hash, granted, revoking_at: end },
    ...over,
  })
const at = (ms: number) => new Date(ms).toISOString()
const describeOne = (over: Partial<LeaseRow>, facts: Partial<ReceiptFacts> = {}) =>
  write([closed(over)], facts).credentials[0]!

describe('how a credential ended', () => {
  test('revoked and seen dead', () => {
    const one = describeOne({ revoked_at: end + 500, confirmed_dead_at: end + 700 })
    expect(one.death).toEqual({
      ...{ basis: 'confirmed', at: at(end + 700), for: 'everyone', offline_verifiers_until: null },
    })
    expect([one.past_end_ms, one.past_end_offline_ms]).toEqual([700, 700])
  })

  test('called revoked but never seen dead is not told as confirmed', () => {
    const one = describeOne({ revoked_at: end + 500, confirmed_dead_at: null })
    expect(one.death.basis).toBe('expired_unconfirmed')
    expect(one.death.at).toBe(at(start + 60 * minute))
  })

  test('introspected: at once for those who ask, at its expiry for those who do not', () => {
    const introspected = { revocability: 'introspected', confirmed_dead_at: end + 30 } as const
    const one = describeOne({ ...introspected, provider_expires_at: end + 5 * minute })
    expect(one.death).toEqual({
      ...{ basis: 'confirmed', at: at(end), for: 'introspecting_verifiers' },
      offline_verifiers_until: at(end + 5 * minute),
    })
    expect([one.past_end_ms, one.past_end_offline_ms]).toEqual([0, 5 * minute])
    const over = describeOne({ ...introspected, provider_expires_at: end - minute })
    expect(over.death.offline_verifiers_until).toBeNull()
    expect(over.past_end_offline_ms).toBe(0)
  })

  test.each(['expired', 'expired_unconfirmed'] as const)('%s: at the expiry of its provider', closed_as => {
    const one = describeOne({ closed_as, provider_expires_at: end + 5 * minute })
    expect(one.death).toMatchObject({ basis: closed_as, at: at(end + 5 * minute), for: 'everyone' })
    expect(one.past_end_ms).toBe(5 * minute)
  })

  test('revoked before the task ended: it outlived nothing', () => {
    expect(describeOne({ confirmed_dead_at: end - minute }).past_end_ms).toBe(0)
  })

  test('a lost answer: it may have existed until nothing minted under it can', () => {
    const unknown = lease('l', 't', {
      ...{ state: 'closed', closed_as: 'expired_unconfirmed', closed_at: end + 99 * minute, due_at: null },
      granted,
    })
    const [one] = write([unknown]).credentials
    expect(one).toMatchObject({ issued: 'unknown', answered: 'no', sha256: null, issued_at: null })
    expect(one?.flags).toEqual(['outcome_unknown', 'scope_as_asked'])
    expect(one?.death).toMatchObject({ basis: 'expired_unconfirmed', at: at(start + 70 * minute) })
  })

  test('never minted', () => {
    const none = lease('l', 't', {
      ...{ state: 'closed', closed_as: 'never_minted', closed_at: start + 5, due_at: null, granted },
      may_leave_access: 1,
    })
    const receipt = write([none])
    expect(receipt.credentials[0]).toMatchObject({
      ...{ issued: 'no', answered: 'no', flags: ['scope_as_asked'], past_end_ms: 0 },
      death: { basis: 'never_minted', at: null, offline_verifiers_until: null },
    })
    expect(receipt.summary).toMatchObject({ never_minted: 1, may_have_left_access: 0 })
  })
})

describe('what is said beside', () => {
  test('minted after the end: it was given to nobody', () => {
    const one = describeOne({ active_at: null, confirmed_dead_at: end + 9 })
    expect(one).toMatchObject({ issued: 'yes', answered: 'no', flags: ['minted_after_end'] })
  })

  test('wider than asked: it was given to nobody', () => {
    const one = describeOne({ confirmed_dead_at: end }, { wider: new Set(['l']) })
    expect(one).toMatchObject({ answered: 'no', flags: ['answered_wider'] })
  })

  test('what could have planted access is counted', () => {
    const receipt = write([closed({ may_leave_access: 1, confirmed_dead_at: end })])
    expect(receipt.credentials[0]?.flags).toEqual(['may_leave_access'])
    expect(receipt.summary.may_have_left_access).toBe(1)
  })

  test('the hash in both spellings; the identity without its claims', () => {
    const receipt = write([closed({ confirmed_dead_at: end })])
    const base64 = Buffer.from(hash, 'hex').toString('base64')
    expect(receipt.credentials[0]?.sha256).toEqual({ hex: hash, base64 })
    expect(receipt.task.identity).toEqual({ attestor: 'a', issuer: 'https://i', subject: 's' })
  })

  test('what is left out of the list is counted, and in the summary', () => {
    const three = [1, 2, 3].map(n => closed({ id: `l${n}`, confirmed_dead_at: end + n }))
    const receipt = write(three, { credentialsMax: 2 })
    expect(receipt.credentials.map(one => one.lease)).toEqual(['l1', 'l2'])
    expect(receipt.credentials_omitted).toBe(1)
    expect(receipt.summary).toMatchObject({ credentials: 3, longest_past_end_ms: 3 })
  })

  test('nothing is written of a task that is not settled, or a lease that is open', () => {
    expect(() => write([], { task: task('t') })).toThrow(TypeError)
    expect(() => write([activeLease('l', 't')])).toThrow(TypeError)
  })
})
