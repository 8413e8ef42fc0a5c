/** Lines of work in this process that went wrong side by side, and go on one after another. */

/**
 * Resolves when it is this one's turn under that name; the function it answers ends the turn, and may be called again.
 * Whoever takes one ends it: nobody behind goes on before.
 */
export type Queues = (name: string) => Promise<() => void>

export function createQueues(): Queues {
  const last = new Map<string, Promise<void>>()
  return async name => {
    const before = last.get(name)
    const { promise, resolve } = Promise.withResolvers<void>()
    const mine = Promise.resolve(before).then(() => promise)
    last.set(name, mine)
    await before
    return () => {
      resolve()
      if (last.get(name) === mine) last.delete(name)
    }
  }
}
