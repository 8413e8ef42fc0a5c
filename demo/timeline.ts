/** What the demo prints, and its memory of what was promised and not kept. */
import { createHash } from 'node:crypto'

/** What somebody said to a request. */
export type Answer = {
  /** `GitHub`, `AWS`, `orders API`, `Mayfly`. */
  from: string
  /** The HTTP status. */
  status: number
  /** In the words of whoever answered. */
  words: string
}

export type Timeline = {
  chapter(title: string, explanation: string): void
  /** Something happened. */
  step(who: string, what: string): void
  /** Somebody tried something. An answer with another status than `expected` is a broken promise. */
  tried(who: string, what: string, answer: Answer, expected: number): void
  /** A human typed `mayfly` and this. Another exit code than `expected` is a broken promise. */
  typed(who: string, command: string, ran: { code: number; text: string }, expected: number): void
  /** Says nothing where the promise was kept. */
  ensure(kept: boolean, promise: string): void
  /** A line without a time. */
  text(line: string): void
  /** What stands in a file, or on somebody's screen. */
  quote(text: string): void
  /** The promises that were not kept, in order. */
  readonly broken: readonly string[]
}

/** @param world.elapsed ms since the demo began. */
export function createTimeline(world: {
  out: (text: string) => void
  color: boolean
  elapsed: () => number
}): Timeline {
  const broken: string[] = []
  const paint = (code: number, text: string) => (world.color ? `\x1b[${code}m${text}\x1b[0m` : text)
  const line = (text: string) => world.out(`${text}\n`)
  const at = (who: string) => `${`${Math.round(world.elapsed())} ms`.padStart(8)}  ${who.padEnd(13)}`
  let chapters = 0

  function ensure(kept: boolean, promise: string): void {
    if (kept) return
    broken.push(promise)
    line(paint(RED, `          NOT AS PROMISED: ${promise}`))
  }

  function quote(text: string): void {
    for (const one of text.trimEnd().split('\n')) line(`          | ${one}`.trimEnd())
  }

  return {
    chapter(title, explanation) {
      chapters += 1
      line(`\n${paint(BOLD, `${chapters}. ${title}`)}\n${explanation}\n`)
    },
    step: (who, what) => line(`${at(who)} ${what}`),
    tried(who, what, { from, status, words }, expected) {
      const outcome = outcomeOf(status)
      const color = outcome === 'allowed' ? GREEN : YELLOW
      line(`${at(who)} ${what.padEnd(44)} ${paint(color, outcome)}  ${from}: ${status} ${words}`)
      ensure(status === expected, `"${who} ${what}" should have been answered with ${expected}`)
    },
    typed(who, command, { code, text }, expected) {
      line(`${at(who)} $ mayfly ${command}`)
      quote(text)
      ensure(code === expected, `"mayfly ${command}" of ${who} should have ended with ${expected}`)
    },
    ensure,
    text: line,
    quote,
    broken,
  }
}

const BOLD = 1
const RED = 31
const GREEN = 32
const YELLOW = 33

function outcomeOf(status: number): 'allowed' | 'waits  ' | 'refused' | 'failed ' {
  if (status === 202) return 'waits  '
  if (status < 300) return 'allowed'
  return status < 500 ? 'refused' : 'failed '
}

/** A secret as it may be shown: how it starts, and how its SHA-256 starts (the ledger keeps that hash). */
export function shown(secret: string): string {
  const hash = createHash('sha256').update(secret).digest('hex')
  return `${secret.slice(0, 8)}... (sha256 ${hash.slice(0, 8)}...)`
}

/** `14:32:05 UTC` */
export function clockTime(time: number | string): string {
  return `${new Date(time).toISOString().slice(11, 19)} UTC`
}
