/**
 * Row locks with queues, as PostgreSQL grants them: shared ones together, an exclusive one alone, in the order
 * of asking. Whoever would close a circle of waiting is the victim.
 */
import type { Lock } from '../../../src/store/ledger.ts'

/** The database took the transaction back for another's sake: nothing was done, and it may run again. */
export class Deadlock extends Error {
  override name = 'Deadlock'
}

export type Holder = {
  /** Takes a continuation up again, as an event of whoever waits. */
  resume: (run: () => void) => void
}

type Waiter<H> = { by: H; mode: Lock; grant: () => void }
type RowLock<H> = { holders: Map<H, Lock>; queue: Waiter<H>[] }

export function createRowLocks<H extends Holder>() {
  const locks = new Map<string, RowLock<H>>()
  const held = new Map<H, Set<string>>()
  const waitsFor = new Map<H, string>()

  /** Resolves when it is granted; undefined where it was at once. @throws Deadlock */
  function acquire(by: H, key: string, mode: Lock): Promise<void> | undefined {
    const lock = locks.get(key) ?? { holders: new Map<H, Lock>(), queue: [] }
    locks.set(key, lock)
    const mine = lock.holders.get(by)
    if (mine === 'update' || mine === mode) return undefined
    if (isFree(lock, by, mode) && (mine !== undefined || lock.queue.length === 0)) {
      give(lock, by, key, mode)
      return undefined
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiter = { by, mode, grant: () => by.resume(resolve) }
    // Who holds a share already and wants more comes first: nobody behind can be served before.
    if (mine !== undefined) lock.queue.unshift(waiter)
    else lock.queue.push(waiter)
    waitsFor.set(by, key)
    if (!isCircle(by)) return promise
    forget(lock, by)
    serve(lock, key)
    throw new Deadlock('a circle of transactions waits for each other')
  }

  function isFree(lock: RowLock<H>, by: H, mode: Lock): boolean {
    for (const [holder, has] of lock.holders)
      if (holder !== by && (mode === 'update' || has === 'update')) return false
    return true
  }

  function give(lock: RowLock<H>, by: H, key: string, mode: Lock): void {
    lock.holders.set(by, mode)
    const keys = held.get(by) ?? new Set()
    held.set(by, keys.add(key))
  }

  function serve(lock: RowLock<H>, key: string): void {
    for (let next = lock.queue[0]; next !== undefined; next = lock.queue[0]) {
      if (!isFree(lock, next.by, next.mode)) return
      lock.queue.shift()
      waitsFor.delete(next.by)
      give(lock, next.by, key, next.mode)
      next.grant()
    }
    if (lock.holders.size === 0) locks.delete(key)
  }

  function isCircle(start: H): boolean {
    const seen = new Set<H>()
    const open = [start]
    for (let one = open.pop(); one !== undefined; one = open.pop()) {
      const key = waitsFor.get(one)
      const lock = key === undefined ? undefined : locks.get(key)
      if (lock === undefined) continue
      for (const other of blockers(lock, one)) {
        if (other === start) return true
        if (!seen.has(other)) open.push(other)
        seen.add(other)
      }
    }
    return false
  }

  /** Holders, and those who wait ahead. */
  function blockers(lock: RowLock<H>, by: H): H[] {
    const place = lock.queue.findIndex(waiter => waiter.by === by)
    const mode = lock.queue[place]?.mode
    const ahead = lock.queue
      .slice(0, Math.max(0, place))
      .filter(one => mode === 'update' || one.mode === 'update')
    const holders = [...lock.holders].filter(([, has]) => mode === 'update' || has === 'update')
    return [...holders.map(([holder]) => holder), ...ahead.map(one => one.by)].filter(other => other !== by)
  }

  function forget(lock: RowLock<H>, by: H): void {
    lock.queue = lock.queue.filter(waiter => waiter.by !== by)
    waitsFor.delete(by)
  }

  /** Everything it holds, and its place in a queue. */
  function release(by: H): void {
    const waiting = waitsFor.get(by)
    const queued = waiting === undefined ? undefined : locks.get(waiting)
    if (queued !== undefined && waiting !== undefined) {
      // It goes on, without the row, to be told why.
      queued.queue.find(waiter => waiter.by === by)?.grant()
      forget(queued, by)
      serve(queued, waiting)
    }
    for (const key of held.get(by) ?? []) {
      const lock = locks.get(key)
      if (lock === undefined) continue
      lock.holders.delete(by)
      serve(lock, key)
    }
    held.delete(by)
  }

  return {
    acquire,
    release,
    isHeldByAnother: (by: H, key: string) =>
      [...(locks.get(key)?.holders.keys() ?? [])].some(one => one !== by),
  }
}

export type RowLocks<H extends Holder> = ReturnType<typeof createRowLocks<H>>
