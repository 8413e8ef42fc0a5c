/**
 * Whether every text that `wanted` matches is matched by `ceiling` too, where `*` is any run of characters
 * and `?` any one. Sound, reflexive and transitive: a wildcard is covered by a wildcard only, never by a
 * run of letters that happens to fit.
 */
export function globCovers(ceiling: string, wanted: string): boolean {
  const outer = inOrder(ceiling)
  const inner = inOrder(wanted)
  // reached[j]: the part of `ceiling` read so far covers exactly the first j characters of `wanted`.
  let reached: boolean[] = Array.from({ length: inner.length + 1 }, (_, j) => j === 0)
  for (const symbol of outer) {
    const next: boolean[] = new Array(inner.length + 1).fill(false)
    if (symbol === '*') {
      let open = false
      for (let j = 0; j <= inner.length; j++) {
        open ||= reached[j] === true
        next[j] = open
      }
    } else {
      for (let j = 0; j < inner.length; j++) {
        next[j + 1] = reached[j] === true && inner[j] !== '*' && (symbol === '?' || symbol === inner[j])
      }
    }
    reached = next
  }
  return reached[inner.length] === true
}

/** `**` is `*`, and `*?` is `?*`: one spelling for each run of wildcards. */
function inOrder(glob: string): string {
  return glob.replace(/[*?]*\*[*?]*/g, run => `${run.replaceAll('*', '')}*`)
}
