/** The bounds of a task, read from what is registered at one instant. */
import type { LeaseRow } from '../../src/store/rows.ts'
import type { Committed } from './ledger/transaction.ts'
import { applying, hashOf, partings, type Rule, rulesOf, wordsOf } from './policies.ts'
import type { Scope } from './scope.ts'

/** Of a task's line: its own and all above. */
export function agentsInLine(rows: Readonly<Committed>, task: string): Set<string> {
  const line = [...(rows.lines.get(task)?.ancestors ?? []), task]
  return new Set(line.flatMap(id => rows.tasks.get(id)?.agent ?? []))
}

/** The policies that are registered, in the order of their files. */
export function policyTexts(rows: Readonly<Committed>): string[] {
  return [...rows.resources.values()]
    .filter(row => row.kind === 'policy' && row.current === 1 && row.state === 'registered')
    .toSorted((a, b) => (`${a.name}.cedar` < `${b.name}.cedar` ? -1 : 1))
    .map(row => (JSON.parse(row.document) as { text: string }).text)
}

export const policyHash = (rows: Readonly<Committed>) => hashOf(policyTexts(rows))

type Asking = Rule & { effect: 'ask' }

/** What the registered policies say of a credential. */
export function verdictOf(
  rows: Readonly<Committed>,
  lease: Pick<LeaseRow, 'issuer' | 'granted' | 'task'>,
): { forbids: Rule[]; asks: Asking[] } {
  if (rows.tasks.get(lease.task)?.system !== 0) return { forbids: [], asks: [] }
  const words = wordsOf(JSON.parse(lease.granted) as Scope)
  const hit = applying(rulesOf(policyTexts(rows)), lease.issuer, words)
  return {
    forbids: hit.filter(rule => rule.effect === 'forbid'),
    asks: hit.filter(rule => rule.effect === 'ask'),
  }
}

/** What was given of the phases that the registered policies keep from this one's. */
export function* keptApart(
  rows: Readonly<Committed>,
  lease: LeaseRow,
): Generator<{ rule: string; given: string }> {
  if (lease.phase === null || rows.tasks.get(lease.task)?.system !== 0) return
  const rootOf = ({ task }: LeaseRow) => rows.tasks.get(task)?.root
  for (const { id, of, from } of partings(rulesOf(policyTexts(rows)), lease.phase))
    for (const other of rows.leases.values()) {
      const isOfThem = of === 'agent' ? other.agent === lease.agent : rootOf(other) === rootOf(lease)
      if (isOfThem && other.phase === from && other.closed_as !== 'never_minted')
        yield { rule: id, given: other.id }
    }
}
