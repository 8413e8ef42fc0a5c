/** One text, looked through for secrets. Pure: what is found says where and whose, and never what. */
import type { KnownSecrets } from './known-secrets.ts'
import { shapesIn } from './token-shapes.ts'
import { type View, viewsOf } from './views.ts'

export type SecretFinding = {
  kind: 'credential' | 'mayfly-token' | 'github-token'
  /** `certain`: of this task. `maybe`: it has the form of one. */
  certainty: 'certain' | 'maybe'
  via: View['via']
  /** From 1, in the text. */
  line: number
  lease?: string
  part?: string
}

type Place = Omit<SecretFinding, 'line'> & { start: number; end: number }

/** @param firstLine the number of the text's first line. */
export function scanText(text: Uint8Array, known: KnownSecrets, firstLine = 1): SecretFinding[] {
  const places: Place[] = []
  for (const view of viewsOf(text, known.shortest)) places.push(...placesIn(view, known))
  const certain = places.filter(place => place.certainty === 'certain')
  const covered = ({ start, end }: Place) => certain.some(one => start < one.end && end > one.start)
  const kept = places.filter(place => place.certainty === 'certain' || !covered(place))
  const byWhere = new Map<string, SecretFinding>()
  for (const { start, end: _, ...finding } of kept.sort((a, b) => a.start - b.start)) {
    const line = lineOf(text, start, firstLine)
    const key = [line, finding.kind, finding.lease, finding.part].join(' ')
    if (!byWhere.has(key)) byWhere.set(key, { ...finding, line })
  }
  return [...byWhere.values()]
}

function placesIn({ bytes, via, at }: View, known: KnownSecrets): Place[] {
  const span = (start: number, length: number) => ({ start: at(start), end: at(start + length - 1) + 1 })
  const exact = known.find(bytes).map(({ start, length, lease, part }): Place => {
    return { kind: 'credential', certainty: 'certain', via, lease, part, ...span(start, length) }
  })
  const shaped = shapesIn(Buffer.from(bytes).toString('latin1')).map(
    ({ start, length, kind, lease }): Place => {
      const where = { via, ...span(start, length) }
      if (kind !== 'mayfly-jwt') return { kind, certainty: 'maybe', ...where }
      const certainty = known.isNamed(lease ?? '') ? 'certain' : 'maybe'
      return { kind: 'credential', certainty, ...where, ...(lease === undefined ? {} : { lease }) }
    },
  )
  return [...exact, ...shaped]
}

function lineOf(text: Uint8Array, place: number, firstLine: number): number {
  let line = firstLine
  for (let next = text.indexOf(10); next !== -1 && next < place; next = text.indexOf(10, next + 1)) line += 1
  return line
}
