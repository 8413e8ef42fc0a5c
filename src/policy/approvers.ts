/** Who may answer for an ask, and when enough humans have. Pure. */
import type { ApprovalRequirement } from './facts.ts'

/** A human, as the identity provider describes them. */
export type Approver = { id: string; name: string; email?: string; groups: readonly string[] }

/** `groups`: of humans who are of the team, or of the namespace, under names of their own. */
export type Owner = { business: string; technical: string; groups?: readonly string[] }

/** One human who agrees. `owner`: they own the agent, or one above it. */
export type Agreed = { human: string; groups: readonly string[]; owner: boolean }

/** What one requirement still lacks. `has`: humans who count towards it already. */
export type Lacking = ApprovalRequirement & { has: number }

/**
 * Whether this human answers for one of these agents: the name of an owner is theirs, or that of a group of
 * theirs. Compared generously, since a match only takes away.
 */
export function owns({ id, name, email, groups }: Approver, owners: readonly Owner[]): boolean {
  const theirs = new Set([id, name, ...(email === undefined ? [] : [email]), ...groups].map(folded))
  return owners.some(({ business, technical, groups: owning = [] }) =>
    [business, technical, ...owning].some(one => theirs.has(folded(one))),
  )
}

/** Whether an answer of this human counts towards any of the requirements. */
export function mayAnswer(human: Agreed, requires: readonly ApprovalRequirement[]): boolean {
  return requires.some(requirement => counts(human, requirement))
}

/** What is still missing; empty where every requirement is met. A human counts once for each. */
export function lacking(requires: readonly ApprovalRequirement[], agreed: readonly Agreed[]): Lacking[] {
  return requires.flatMap(requirement => {
    const has = new Set(agreed.filter(one => counts(one, requirement)).map(one => one.human)).size
    return has >= requirement.quorum ? [] : [{ ...requirement, has }]
  })
}

function counts({ groups, owner }: Agreed, requirement: ApprovalRequirement): boolean {
  if (owner && !requirement.ownerMay) return false
  return requirement.groups.length === 0 || requirement.groups.some(group => groups.includes(group))
}

const folded = (text: string) => text.normalize('NFKC').trim().toLowerCase()
