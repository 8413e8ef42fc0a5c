/** What an observer is told of each check, next to the check itself; it costs nothing where nobody looks. */
import type { Check, Observe } from '../attestor.ts'
import type { Checked } from './checked.ts'
import type { JsonValue } from './strict-json.ts'

type Figures = Pick<Check, 'expected' | 'found' | 'clockAheadMs'>

/** Passes the outcome of a check on as it is. @param figures are asked for only where somebody looks. */
export function tell<T>(
  observe: Observe | undefined,
  name: string,
  checked: Checked<T>,
  figures: () => Figures = () => ({}),
): Checked<T> {
  if (observe === undefined) return checked
  if (checked.ok) observe({ name, passed: true, ...figures() })
  else observe({ name, passed: false, rejection: checked.rejection, detail: checked.detail, ...figures() })
  return checked
}

/** A part of evidence as an operator reads it: bounded, and without what looks like a token inside. */
export function shown(value: JsonValue | undefined): string {
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value, (_name, inner) => (typeof inner === 'bigint' ? `${inner}` : inner))
  const bare = withoutTokens(text)
  return bare.length > MAX_SHOWN_CHARACTERS ? `${bare.slice(0, MAX_SHOWN_CHARACTERS)}…` : bare
}

/** Evidence can carry other people's. */
export function withoutTokens(text: string): string {
  return text.replaceAll(TOKEN, '(a token)')
}

const MAX_SHOWN_CHARACTERS = 300
/** The first letters of a JOSE header, `{"`, in base64url. */
const TOKEN = /eyJ[\w-]+\.[\w-]*(?:\.[\w-]*)*/g

/** @param s epoch seconds, in the range of a NumericDate */
export function timeShown(s: number): string {
  return new Date(s * 1000).toISOString().replace('.000Z', 'Z')
}
