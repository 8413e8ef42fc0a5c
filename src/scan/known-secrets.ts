/** The secrets that are looked for, by what they are known again by: none of them is here. */
import { createHash, createHmac } from 'node:crypto'
import { eachPlace } from './rolling-print.ts'

export type KnownHash = {
  lease: string
  /** The member of a credential of several parts; empty where it is one text. */
  part: string
  bytes: number
  /** The rolling print of its bytes. */
  print: number
  /** HMAC-SHA-256 of the SHA-256 of its bytes; hex. */
  hmac: string
}

export type KnownSecrets = {
  /** Places of all of them in a text, by length and then first to last. */
  find(bytes: Uint8Array): { start: number; length: number; lease: string; part: string }[]
  /** Whether this lease's credential is a JWT that names it. */
  isNamed(lease: string): boolean
  /** In bytes; 0 where none is looked for. */
  shortest: number
  longest: number
}

/** @param key of the HMACs, hex. */
export function knownSecrets(
  key: string,
  hashes: readonly KnownHash[],
  named: readonly string[] = [],
): KnownSecrets {
  const hmacKey = Buffer.from(key, 'hex')
  const byLength = Map.groupBy(hashes, one => one.bytes)
  const names = new Set(named)
  const lengths = [...byLength.keys()]
  return {
    find(bytes) {
      const places: ReturnType<KnownSecrets['find']> = []
      for (const [length, ones] of byLength) {
        const byHmac = new Map(ones.map(one => [one.hmac, one]))
        eachPlace(bytes, length, new Set(ones.map(one => one.print)), start => {
          const sha256 = createHash('sha256')
            .update(bytes.subarray(start, start + length))
            .digest()
          const found = byHmac.get(createHmac('sha256', hmacKey).update(sha256).digest('hex'))
          if (found !== undefined) places.push({ start, length, lease: found.lease, part: found.part })
        })
      }
      return places
    },
    isNamed: lease => names.has(lease),
    shortest: lengths.length === 0 ? 0 : Math.min(...lengths),
    longest: Math.max(0, ...lengths),
  }
}

/** None is looked for: what has the form of one is found all the same. */
export const nothingKnown: KnownSecrets = knownSecrets('', [])
