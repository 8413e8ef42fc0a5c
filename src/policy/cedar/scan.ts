/**
 * Cuts a file of policies into single ones and bounds each, before Cedar sees any of it: deep nesting overruns
 * the stack of its WebAssembly module (THREATS: a policy upload with 150 nested parentheses, 10 MB of text).
 */
import { LIMITS } from '../../limits.ts'

/** One policy as it stands in its file. */
export type Piece = {
  text: string
  /** Of its first character that is neither white space nor comment, from 1. */
  line: number
  /** Without comments, and with white space only where it parts two words: what the hash is taken over. */
  canonical: string
}

export type Scanned = { ok: true; pieces: Piece[] } | { ok: false; line: number; message: string }

/** White space, comments, strings, words, everything else. Strings do not run over lines' ends unnoticed: see `"`. */
const TOKEN = /\s+|\/\/[^\n\r]*|"(?:[^"\\]|\\[\s\S])*"|[\p{L}\p{N}_]+|[\s\S]/guy

export function scanPolicies(text: string): Scanned {
  if (text.length > LIMITS.policyFileChars)
    return { ok: false, line: 1, message: `expected at most ${LIMITS.policyFileChars} characters` }
  if (!text.isWellFormed() || text.includes('\0'))
    return { ok: false, line: 1, message: 'expected well-formed Unicode text' }
  const pieces: Piece[] = []
  let piece: Piece | undefined
  let line = 1
  let depth = 0
  let tokens = 0
  let wordBefore = false
  for (const [token] of text.matchAll(TOKEN)) {
    const blank = /^(?:\s|\/\/)/.test(token)
    if (!blank) {
      piece ??= { text: '', line, canonical: '' }
      const word = /^[\p{L}\p{N}_]/u.test(token)
      piece.canonical += word && wordBefore ? ` ${token}` : token
      wordBefore = word
      tokens += 1
      if (token === '"') return { ok: false, line, message: 'expected a string that ends' }
      if ('([{'.includes(token)) depth += 1
      if (')]}'.includes(token)) depth -= 1
    }
    if (piece !== undefined) piece.text += token
    if (depth > LIMITS.policyDepth || tokens > LIMITS.policyTokens) {
      const most =
        depth > LIMITS.policyDepth
          ? `nesting of at most ${LIMITS.policyDepth}`
          : `at most ${LIMITS.policyTokens} words and signs in one policy`
      return { ok: false, line, message: `expected ${most}` }
    }
    if (token === ';' && depth <= 0 && piece !== undefined) {
      pieces.push(piece)
      if (pieces.length > LIMITS.policies)
        return { ok: false, line, message: `expected at most ${LIMITS.policies} policies` }
      piece = undefined
      depth = 0
      tokens = 0
      wordBefore = false
    }
    line += newlines(token)
  }
  if (piece !== undefined)
    return { ok: false, line: piece.line, message: 'expected a policy that ends with ;' }
  return { ok: true, pieces }
}

function newlines(token: string): number {
  let count = 0
  for (let at = token.indexOf('\n'); at !== -1; at = token.indexOf('\n', at + 1)) count += 1
  return count
}
