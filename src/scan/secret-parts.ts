/** What of a credential is a secret of its own: the text of a token, the members of one of several parts. */

/** Shorter ones are found in texts that hold none, and guessed from their hash. */
const PART_MIN_CHARS = 16
const PARTS_MAX = 16

const tokenShaped = /^[A-Za-z0-9._~+/=-]+$/

/** By the name of the part; a token has the one part that is called by the empty text. */
export function secretParts(format: 'token' | 'json', secret: string): Map<string, string> {
  if (format === 'token') return new Map(secret.length < PART_MIN_CHARS ? [] : [['', secret]])
  let content: unknown
  try {
    content = JSON.parse(secret)
  } catch {
    return new Map()
  }
  if (typeof content !== 'object' || content === null) return new Map()
  const parts = Object.entries(content).filter(
    (entry): entry is [string, string] =>
      typeof entry[1] === 'string' && entry[1].length >= PART_MIN_CHARS && tokenShaped.test(entry[1]),
  )
  return new Map(parts.slice(0, PARTS_MAX))
}
