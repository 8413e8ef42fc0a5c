/** Everything else that is written: uses, budgets, claims, records, keys. */
import { LIMITS } from '../../../src/limits.ts'
import type { LedgerWrite } from '../../../src/store/ledger.ts'
import type { ChangeRow, DeliveryRow, TicketRow } from '../../../src/store/rows.ts'
import type { TableName } from './tables.ts'
import type { StatementIo } from './transaction.ts'

type OnceWrites = Pick<
  LedgerWrite,
  | 'useEvidence'
  | 'reuseEvidence'
  | 'spendEvidence'
  | 'insertTicket'
  | 'redeemTicket'
  | 'passTicket'
  | 'takeBudget'
  | 'giveBudget'
  | 'prune'
>

export function onceWrites(io: StatementIo): OnceWrites {
  const { now, statement } = io
  return {
    useEvidence: row =>
      statement('useEvidence', async () => {
        await io.lock('evidence', row.id, 'update')
        const earlier = io.get('evidence', row.id)
        if (earlier !== undefined) return { ...earlier }
        io.set('evidence', row.id, { ...row })
        return undefined
      }),
    reuseEvidence: (id, from, to) =>
      statement('reuseEvidence', async () => {
        const change = () => ({ ...to })
        return (
          (
            await io.update('evidence', row => row.task === from.task && row.request_digest !== '', change, [
              id,
            ])
          ).length > 0
        )
      }),
    spendEvidence: (id, except) =>
      statement('spendEvidence', async () => {
        await io.update(
          'evidence',
          row => row.task !== except,
          () => ({ request_digest: '' }),
          [id],
        )
      }),
    insertTicket: row => statement('insertTicket', () => io.insert('tickets', row.id, row)),
    redeemTicket: (tokenHash, by) =>
      statement('redeemTicket', async () => {
        const isGood = (row: { token_hash: string; state: string; expires_at: number }) =>
          row.token_hash === tokenHash && row.state === 'open' && row.expires_at > now
        return (
          await io.update('tickets', isGood, () => ({ state: 'redeemed', redeemed_by: by }) as const)
        )[0]
      }),
    passTicket: (id, { from, to }) =>
      statement('passTicket', async () => {
        const held = (row: { id: string; redeemed_by: string | null }) =>
          row.id === id && row.redeemed_by === from
        return (await io.update('tickets', held, () => ({ redeemed_by: to }))).length > 0
      }),
    takeBudget: (key, limit, until) =>
      statement('takeBudget', async () => {
        if (limit < 1) return false
        await io.lock('budgets', key, 'update')
        const stands = io.get('budgets', key)
        const isPast = stands === undefined || stands.until <= now
        if (!isPast && stands.used >= limit) return false
        const used = isPast ? 1 : stands.used + 1
        io.set('budgets', key, { key, used, until: Math.max(until, stands?.until ?? until) })
        return true
      }),
    giveBudget: key =>
      statement('giveBudget', async () => {
        await io.update(
          'budgets',
          row => row.used > 0,
          row => ({ used: row.used - 1 }),
          [key],
        )
      }),
    prune: limit => statement('prune', () => prune(io, limit)),
  }
}

async function prune(io: StatementIo, limit: number): Promise<number> {
  const { now } = io
  let gone = 0
  const forget = async <Name extends TableName>(table: Name, keys: readonly string[]) => {
    for (const key of keys.slice(0, limit - gone)) {
      await io.lock(table, key, 'update')
      io.set(table, key, undefined)
      gone += 1
    }
  }
  const keysOf = (rows: readonly [string, unknown][]) => rows.map(([key]) => key)
  await forget('works', keysOf(io.scan('works', row => row.pending === 0 && row.until <= now)))
  await forget('evidence', keysOf(io.scan('evidence', row => row.until <= now)))
  await forget('budgets', keysOf(io.scan('budgets', row => row.until <= now)))
  await forget('budget_holds', keysOf(io.scan('budget_holds', row => row.until !== null && row.until <= now)))
  const bounds = (task: string | null) => task !== null && io.get('tasks', task)?.state === 'active'
  const isSpent = (row: TicketRow) => row.expires_at <= now && !bounds(row.redeemed_by)
  await forget('tickets', keysOf(io.scan('tickets', isSpent)))
  const old = now - LIMITS.deliveryKeptMs
  const isOld = (row: DeliveryRow) => row.state === 'delivered' && (row.done_at ?? now) <= old
  await forget('deliveries', keysOf(io.scan('deliveries', isOld)))
  const isPast = (row: ChangeRow) => row.expires_at <= now && row.sealed !== null
  for (const key of keysOf(io.scan('changes', isPast)).slice(0, limit - gone)) {
    await io.update('changes', isPast, () => ({ sealed: null }), [key])
    gone += 1
  }
  return gone
}

type KeptWrites = Pick<
  LedgerWrite,
  | 'takeClaim'
  | 'giveClaim'
  | 'wakeClaim'
  | 'insertDecision'
  | 'insertAsk'
  | 'lockAsk'
  | 'moveAsk'
  | 'appendAudit'
  | 'insertSigningKey'
  | 'moveSigningKey'
  | 'replaceOperatorToken'
  | 'setMeta'
  | 'initMeta'
  | 'swapMeta'
>

/** @param nextSeq numbers audit rows, as a sequence does: also those of transactions that are rolled back. */
export function keptWrites(io: StatementIo, nextSeq: () => number): KeptWrites {
  const { now, statement } = io
  return {
    takeClaim: (name, until) =>
      statement('takeClaim', async () => {
        await io.lock('claims', name, 'update')
        const stands = io.get('claims', name)
        if (stands !== undefined && stands.claimed_until !== null && stands.claimed_until > now)
          return undefined
        const taken = {
          name,
          fence: (stands?.fence ?? 0) + 1,
          claimed_until: until,
          due_at: stands?.due_at ?? now,
        }
        io.set('claims', name, taken)
        return { ...taken }
      }),
    giveClaim: (name, fence, to) =>
      statement('giveClaim', async () => {
        const change = () => ({ claimed_until: to.pausedUntil, due_at: to.due_at })
        return (await io.update('claims', row => row.fence === fence, change, [name])).length > 0
      }),
    wakeClaim: name =>
      statement('wakeClaim', async () => {
        await io.update(
          'claims',
          () => true,
          () => ({ due_at: now }),
          [name],
        )
      }),
    insertDecision: row => statement('insertDecision', () => io.insert('decisions', row.id, row)),
    insertAsk: row => statement('insertAsk', () => io.insert('asks', row.id, row)),
    lockAsk: id => statement('lockAsk', async () => (await io.lockRows('asks', [id], 'update'))[0]),
    moveAsk: (id, from, to) =>
      statement('moveAsk', async () => {
        const change = () => ({ state: to })
        return (await io.update('asks', row => from.includes(row.state), change, [id])).length > 0
      }),
    appendAudit: row =>
      statement('appendAudit', () => {
        const seq = nextSeq()
        io.set('audit', String(seq), { ...row, seq, at: now })
      }),
    insertSigningKey: row => statement('insertSigningKey', () => io.insert('signing_keys', row.kid, row)),
    moveSigningKey: (kid, from, to) =>
      statement('moveSigningKey', async () => {
        const named = Object.fromEntries(Object.entries(to).filter(([, value]) => value !== undefined))
        return (
          (
            await io.update(
              'signing_keys',
              row => row.state === from,
              () => named,
              [kid],
            )
          ).length > 0
        )
      }),
    replaceOperatorToken: row =>
      statement('replaceOperatorToken', async () => {
        for (const [key] of io.scan('operator_tokens', () => true)) {
          await io.lock('operator_tokens', key, 'update')
          io.set('operator_tokens', key, undefined)
        }
        await io.insert('operator_tokens', row.id, row)
      }),
    setMeta: (key, value) =>
      statement('setMeta', async () => {
        await io.lock('meta', key, 'update')
        io.set('meta', key, { key, value })
      }),
    initMeta: (key, value) =>
      statement('initMeta', async () => {
        await io.lock('meta', key, 'update')
        const stands = io.get('meta', key) ?? { key, value }
        io.set('meta', key, stands)
        return stands.value
      }),
    swapMeta: (key, from, value) =>
      statement('swapMeta', async () => {
        const change = () => ({ value })
        return (await io.update('meta', row => row.value === from, change, [key])).length > 0
      }),
  }
}
