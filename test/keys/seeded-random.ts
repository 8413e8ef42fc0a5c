import { createHash } from 'node:crypto'
import type { RandomBytes } from '../../src/keys/random.ts'

/** The same seed gives the same bytes. */
export function seededRandom(seed: string): RandomBytes {
  let draws = 0
  return size => {
    const blocks: Buffer[] = []
    for (let length = 0; length < size; length += 32) {
      blocks.push(createHash('sha256').update(`${seed}:${draws++}`).digest())
    }
    return new Uint8Array(Buffer.concat(blocks).subarray(0, size))
  }
}
