/** docs/receipts.md speaks of every member there is, and its example is a receipt. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { credentialShape, receiptFlag, receiptShape } from '../../src/receipts/receipt.ts'

const text = readFileSync(join(import.meta.dirname, '../../docs/receipts.md'), 'utf8')

test('the example is a receipt', () => {
  const example = /```json\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
  expect(receiptShape.parse(JSON.parse(example))).toEqual(JSON.parse(example))
})

test('every member, flag and basis is told of outside the example', () => {
  const prose = text.replace(/```json\n[\s\S]*?```/, '')
  const words = [
    ...membersOf(receiptShape),
    ...receiptFlag.options,
    ...credentialShape.shape.death.shape.basis.options,
  ]
  expect(words.length).toBeGreaterThan(40)
  expect(words.filter(word => !new RegExp(`\\b${word}\\b`).test(prose))).toEqual([])
})

/** The names of all members, however deep. */
function membersOf(shape: unknown): string[] {
  if (shape instanceof z.ZodNullable) return membersOf(shape.unwrap())
  if (shape instanceof z.ZodArray) return membersOf(shape.element)
  if (!(shape instanceof z.ZodObject)) return []
  return Object.entries(shape.shape).flatMap(([name, inner]) => [name, ...membersOf(inner)])
}
