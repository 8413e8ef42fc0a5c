import { ACTION_LIMITS } from './limits.ts'

/**
 * Lines that the runner takes for text, whatever is in them. A line that begins with `::`, or has `##[` anywhere,
 * would be a command to it (actions/runner, `ActionCommand.TryParseV2` and `TryParse`).
 */
export function plainLines(text: string): string {
  return text
    .split('\n')
    .map(line => plain(line).replace(/^(\s*):(?=:)/, '$1: '))
    .join('\n')
}

/** On one line, without what could drive a terminal or the runner. */
export function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ').replaceAll('##[', '# #[')
}

/** The same of a text from outside, bounded. */
export function shown(text: string): string {
  return plain(text).slice(0, ACTION_LIMITS.shownChars)
}
