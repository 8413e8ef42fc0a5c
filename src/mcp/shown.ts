/** Texts from outside in what the model and the log are told: bounded, on one line, and nothing hidden in them. */
import { MCP_LIMITS } from './limits.ts'

/** Control, format (bidi, zero width, tags), private use and unassigned characters, and variation selectors. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}]|[\ufe00-\ufe0f]|[\u{e0100}-\u{e01ef}]/gu

/** @param most UTF-16 code units of what comes out, an ellipsis beside */
export function shown(text: string, most: number = MCP_LIMITS.shownChars): string {
  const plain = text.toWellFormed().replaceAll(/\s+/gu, ' ').replaceAll(HIDDEN, '').trim()
  return plain.length <= most ? plain : `${plain.slice(0, most).toWellFormed()}…`
}

/** `2026-11-22T01:47:45Z`. */
export function shownTime(time: Date | string): string {
  const text = typeof time === 'string' ? shown(time) : time.toISOString()
  return text.replace(/\.\d+Z$/, 'Z')
}
