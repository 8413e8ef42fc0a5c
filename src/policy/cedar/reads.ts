/**
 * Which facts a set of policies looks at. What it does not look at is left out before it is judged, so that a
 * verdict depends on nothing else and can be remembered for every request that agrees in the rest.
 */

/**
 * `null`: all of them. Names are members of the context, of `context.claims`, and of `context.held` with a member
 * of theirs: `phases.agent`.
 */
export type Reads = {
  context: readonly string[] | null
  claims: readonly string[] | null
  held: readonly string[] | null
}

/** Whether a member of the context is looked at. */
export function readsMember({ context }: Reads, name: string): boolean {
  return context === null || context.includes(name)
}

/** @param policies in Cedar's JSON form */
export function readsOf(policies: readonly unknown[]): Reads {
  const context = new Set<string>()
  const claims = new Set<string>()
  const held = new Set<string>()
  let whole = false
  let allClaims = false
  let allHeld = false
  const note = ([member, part, scope]: readonly string[]) => {
    if (member === undefined) whole = true
    else if (member !== 'claims') context.add(member)
    else if (part === undefined) allClaims = true
    else claims.add(part)
    if (member !== 'held') return
    if (part === undefined || scope === undefined) allHeld = true
    else held.add(`${part}.${scope}`)
  }
  for (const policy of policies) visit(policy, note)
  return {
    context: whole ? null : [...context].sort(),
    claims: whole || allClaims ? null : [...claims].sort(),
    held: whole || allHeld ? null : [...held].sort(),
  }
}

type Note = (path: readonly string[]) => void

function visit(node: unknown, note: Note): void {
  if (typeof node !== 'object' || node === null) return
  const path = contextPath(node)
  if (path !== undefined) note(path)
  else for (const part of Object.values(node)) visit(part, note)
}

/** `context.a.b` and `context has a.b` as [a, b]; undefined for anything else. */
function contextPath(node: unknown): string[] | undefined {
  if (typeof node !== 'object' || node === null) return undefined
  const { Var: variable, '.': member, has } = node as Readonly<Record<string, unknown>>
  if (variable === 'context') return []
  const looked = (member ?? has) as { left?: unknown; attr?: unknown } | undefined
  if (typeof looked !== 'object' || looked === null) return undefined
  const before = contextPath(looked.left)
  if (before === undefined) return undefined
  const names = Array.isArray(looked.attr) ? looked.attr : [looked.attr]
  return names.every(name => typeof name === 'string') ? [...before, ...names] : []
}
