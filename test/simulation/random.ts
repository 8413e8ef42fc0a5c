/** Chance from a seed: the same seed, the same draws, whoever else draws beside. */
import { seededRandom } from '../faults/seeded-random.ts'

export type Chance = ReturnType<typeof createChance>

export function createChance(seed: number) {
  const uniform = seededRandom(seed)
  const below = (n: number) => Math.floor(uniform() * n)
  return {
    uniform,
    /** A whole number from 0 to n - 1. */
    below,
    between: (from: number, to: number) => from + below(to - from + 1),
    /** True this often of one. A chance of 0 draws nothing, so that what is off changes no history. */
    hits: (chance: number) => chance > 0 && uniform() < chance,
    pick: <Item>(items: readonly Item[]): Item => items[below(items.length)]!,
    bytes(size: number): Uint8Array {
      const bytes = new Uint8Array(size)
      for (let index = 0; index < size; index += 1) bytes[index] = below(256)
      return bytes
    },
    /** A stream of its own. */
    fork: () => createChance(Math.floor(uniform() * 2 ** 32)),
  }
}
