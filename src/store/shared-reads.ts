/**
 * Reads that many requests ask at once: whoever asks while an answer is under way shares the next one, with all who
 * do. So what anybody is told was read after it was asked, and the cost does not grow with the callers.
 */
export function sharingNext<T>(read: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const underway = new Map<string, Promise<T>>()
  const next = new Map<string, Promise<T>>()

  function start(key: string): Promise<T> {
    const answer = read(key).finally(() => {
      if (underway.get(key) === answer) underway.delete(key)
    })
    underway.set(key, answer)
    return answer
  }

  return key => {
    const before = underway.get(key)
    if (before === undefined) return start(key)
    const waiting = next.get(key)
    if (waiting !== undefined) return waiting
    const follow = () => {
      next.delete(key)
      return start(key)
    }
    // One that failed is no reason for the next to fail.
    const answer = before.then(follow, follow)
    next.set(key, answer)
    return answer
  }
}
