/** What people read. Texts from outside lose their control characters: they must not drive a terminal. */
import { type AskDetail, formatAsk } from './ask.ts'
import { CLI_LIMITS } from './limits.ts'
import type { Terminal } from './terminal.ts'

export function printJson(terminal: Pick<Terminal, 'out'>, value: unknown): void {
  terminal.out(`${JSON.stringify(value, null, 2)}\n`)
}

/** One line of ours on stderr, beside whatever a child writes there. */
export function note(terminal: Pick<Terminal, 'err'>, text: string): void {
  terminal.err(`mayfly: ${text}\n`)
}

/** Columns as wide as their widest cell. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows].map(row => row.map(printable))
  const widths = head.map((_, column) => Math.max(...all.map(row => row[column]?.length ?? 0)))
  const lines = all.map(row => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
  return lines.map(line => `${line.trimEnd()}\n`).join('')
}

/** `2026-11-22T01:47:45Z`, or a dash. */
export function shortTime(time: string | null): string {
  return time === null ? '-' : printable(time).replace(/\.\d+Z$/, 'Z')
}

export function showAsk(detail: AskDetail): string {
  return printable(formatAsk(detail) ?? JSON.stringify(detail))
}

export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, ' ').slice(0, CLI_LIMITS.shownChars)
}

/** `1 task`, `2 tasks`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
