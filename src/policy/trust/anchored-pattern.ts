/**
 * Patterns of trust policies: Go's RE2 syntax, over the whole value, in time linear in the value.
 */
import { RE2JS } from 're2js'
import { LIMITS } from '../../limits.ts'

export type AnchoredPattern = { text: string; matches(value: string): boolean }

/** `why`: what is wrong with it, without the pattern itself. */
export type CompiledPattern = { ok: true; pattern: AnchoredPattern } | { ok: false; why: string }

/**
 * As octo-sts compiles them since its `^(?:p)$` form: alone first, since the group would lend an unbalanced `)` its
 * own bracket (`a)|(` admits everything); then in the group, since `|` binds looser than the anchors. Flags such as
 * `(?m)` end with the group, so that the outer `^` and `$` are the ends of the text.
 */
export function compileAnchored(text: string): CompiledPattern {
  if (text.length > LIMITS.trustPatternChars)
    return { ok: false, why: `expected at most ${LIMITS.trustPatternChars} characters` }
  try {
    RE2JS.compile(text)
    const compiled = RE2JS.compile(`^(?:${text})$`)
    if (compiled.programSize() > LIMITS.trustPatternInstructions)
      return { ok: false, why: 'expected fewer or smaller repetitions: it unfolds into too much' }
    return { ok: true, pattern: { text, matches: value => compiled.matcher(value).find() } }
  } catch (error) {
    // The engine's own classes: a syntax error, or a bound of its own that was passed.
    const said = error instanceof Error ? error.message.replace(/: `.*$/s, '') : 'not a pattern'
    return { ok: false, why: `expected a pattern in RE2 syntax (${said.slice(0, LIMITS.labelChars)})` }
  }
}
