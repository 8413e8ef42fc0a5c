/** What a policy's annotations say of it: its id, and whether humans may waive it. */

import { LIMITS } from '../../limits.ts'
import type { ApprovalRequirement } from '../facts.ts'

export type Annotated =
  | { ok: true; id: string; requirement?: ApprovalRequirement }
  | { ok: false; id?: string; message: string; remedy?: string }

const KNOWN = ['id', 'description', 'onDeny', 'approvers', 'quorum', 'ownerMay']
const ABOUT_APPROVAL = ['approvers', 'quorum', 'ownerMay']
const ID = /^[A-Za-z0-9][\w.-]{0,99}$/
const GROUP = /^group:([^\s,:"\\\p{Cc}][^,"\\\p{Cc}]{0,199})$/u

/** @param readsApproval whether the policy looks at `context.approval`: without that no approval could help. */
export function readAnnotations(
  annotations: Readonly<Record<string, string>>,
  { effect, readsApproval }: { effect: 'permit' | 'forbid'; readsApproval: boolean },
): Annotated {
  const id = Object.hasOwn(annotations, 'id') ? annotations.id : undefined
  if (id === undefined || id === '')
    return { ok: false, message: 'expected an @id', remedy: 'Name the policy: @id("a-name-of-its-own")' }
  if (!ID.test(id))
    return {
      ok: false,
      message: 'expected an @id of at most 100 letters, digits, dots, dashes and underscores',
    }
  const refuse = (message: string, remedy?: string): Annotated => ({
    ...{ ok: false, id, message },
    ...(remedy === undefined ? {} : { remedy }),
  })
  const unknown = Object.keys(annotations).find(name => !KNOWN.includes(name))
  if (unknown !== undefined)
    return refuse(
      `expected no annotation @${unknown}`,
      `Known are ${KNOWN.map(name => `@${name}`).join(', ')}`,
    )
  const { onDeny } = annotations
  if (onDeny === undefined) {
    const idle = ABOUT_APPROVAL.find(name => Object.hasOwn(annotations, name))
    return idle === undefined
      ? { ok: true, id }
      : refuse(`@${idle} says nothing without @onDeny("needs_approval")`)
  }
  if (onDeny !== 'needs_approval') return refuse('expected @onDeny("needs_approval")')
  if (effect !== 'forbid')
    return refuse('@onDeny belongs on a forbid', 'Permit it, and forbid it unless it is approved')
  if (!readsApproval)
    return refuse(
      'no approval could ever meet this rule: it does not look at context.approval',
      'Add: unless { context has approval }',
    )
  return readRequirement(id, annotations, refuse)
}

function readRequirement(
  id: string,
  { approvers = '', quorum = '1', ownerMay }: Readonly<Record<string, string>>,
  refuse: (message: string, remedy?: string) => Annotated,
): Annotated {
  const groups = approvers === '' ? [] : approvers.split(',').map(one => GROUP.exec(one.trim())?.[1])
  if (groups.includes(undefined) || groups.length > LIMITS.approverGroups)
    return refuse(`expected @approvers("group:a,group:b") with at most ${LIMITS.approverGroups} groups`)
  if (!/^[1-9]\d?$/.test(quorum) || Number(quorum) > LIMITS.approvalQuorum)
    return refuse(`expected @quorum of 1 to ${LIMITS.approvalQuorum}`)
  if (ownerMay !== undefined && ownerMay !== 'approve') return refuse('expected @ownerMay("approve")')
  return {
    ...{ ok: true, id },
    requirement: {
      policy: id,
      quorum: Number(quorum),
      groups: [...new Set(groups as string[])].sort(),
      ownerMay: ownerMay === 'approve',
    },
  }
}
