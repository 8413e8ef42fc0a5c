/** Resolves for all once `parties` have come; then it stands anew. */
export function barrier(parties: number): () => Promise<void> {
  let waiting: (() => void)[] = []
  return () =>
    new Promise(resolve => {
      waiting.push(resolve)
      if (waiting.length < parties) return
      const all = waiting
      waiting = []
      for (const go of all) go()
    })
}
