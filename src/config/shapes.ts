/** What settings, agents and resource servers have in common. */
import { z } from 'zod'
import { LIMITS } from '../limits.ts'

/** Names of agents, instances and resource servers; they appear in URLs, records and file names. */
export const nameShape = z
  .string()
  .regex(
    new RegExp(`^[a-z][a-z0-9-]{0,${LIMITS.nameChars - 1}}$`),
    `expected a name: a lower-case letter, then lower-case letters, digits and dashes, at most ${LIMITS.nameChars}`,
  )

/** One line for people to read. */
export function lineShape(chars: number) {
  return z
    .string()
    .min(1, 'expected some text')
    .max(chars, `expected at most ${chars} characters`)
    .regex(/^\P{Cc}*$/u, 'expected one line without control characters')
    .refine(text => text.trim() === text, 'expected no white space at either end')
}

/** Words over one or more lines (a folded YAML block ends in a newline, which is dropped). */
export const wordsShape = (chars: number) => z.string().trim().pipe(lineShape(chars))

export function wholeNumber(min: number, max: number, unit: string) {
  const expected = `expected ${unit} as a whole number from ${min} to ${max}`
  return z.int(expected).min(min, expected).max(max, expected)
}

export const sha256Shape = z
  .string('expected 64 lower-case hexadecimal digits in quotes')
  .regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits')

/** A file or folder; relative ones are meant from the configuration file's folder. */
export const pathShape = z
  .string()
  .min(1, 'expected a path')
  .max(4_096, 'expected a path of at most 4096 characters')
  .refine(path => !path.includes('\0'), 'expected a path without NUL')
