/** A policy that lets through JWTs and what reads, and everything else with the approval of humans. */
import type { ApprovalRequirement, PolicyEngine, PolicyVerdict } from '../../src/policy/facts.ts'

export type AskingPolicy = PolicyEngine & { requires: ApprovalRequirement[]; version: string; deny: boolean }

export const requirement = (over: Partial<ApprovalRequirement> = {}): ApprovalRequirement => ({
  ...{ policy: 'writes', quorum: 1, groups: ['approvers'], ownerMay: false },
  ...over,
})

const VERDICT: Omit<PolicyVerdict, 'outcome'> = { determining: [], reasons: [], requires: [], nearest: [] }

/** Change `requires`, `version` and `deny` at any time. */
export function askingPolicy(): AskingPolicy {
  const policy: AskingPolicy = {
    requires: [requirement()],
    version: 'one',
    deny: false,
    hash: () => policy.version,
    needs: () => ({ held: [], digest: false }),
    async judge({ issuer, phase, context: { approval, digest } }) {
      if (policy.deny) return { ...VERDICT, outcome: 'deny', reasons: ['no'] }
      const { requires } = policy
      if (issuer === 'jwt' || phase === 'read') return { ...VERDICT, outcome: 'allow' }
      const isMet = requires.every(
        ({ quorum, groups }) =>
          approval?.digest === digest &&
          approval.count >= quorum &&
          (groups.length === 0 || groups.some(group => approval.groups.includes(group))),
      )
      return isMet ? { ...VERDICT, outcome: 'allow' } : { ...VERDICT, outcome: 'needs_approval', requires }
    },
  }
  return policy
}
