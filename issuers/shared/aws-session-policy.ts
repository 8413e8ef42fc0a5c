/**
 * The session policy: what the session may do is the role's policies cut down to this (AssumeRole, "Policy").
 *
 * It carries the deadline, which holds whatever becomes of the broker: permissions are judged anew at every
 * request, so an Allow with `DateLessThan aws:CurrentTime` is of no use from the deadline on, however long
 * the session itself lives.
 */
import { type AwsAsk, CHAINING_ACTIONS, IAM_WRITE_ACTIONS } from './aws-ask.ts'

/** AssumeRole takes at most this many characters of policy, before its own packing. */
export const MAX_POLICY_CHARACTERS = 2048

/** The deadline is cut to whole seconds, downwards: `aws:CurrentTime` is compared by the second. */
export function policyDeadline(expiresAt: number): number {
  return Math.floor(expiresAt / 1000) * 1000
}

/** JSON text. `expiresAt`: epoch ms. `probe`: a call without an effect that the broker makes to see the session end. */
export function sessionPolicy(
  ask: AwsAsk,
  expiresAt: number,
  probe?: { action: string; resource: string },
): string {
  const deadline = new Date(policyDeadline(expiresAt)).toISOString().replace('.000Z', 'Z')
  const denied = [
    ...(ask.allow_role_chaining ? [] : CHAINING_ACTIONS),
    ...(ask.allow_iam_writes ? [] : IAM_WRITE_ACTIONS),
  ]
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      ...[
        ...ask.statements,
        ...(probe === undefined ? [] : [{ actions: probe.action, resources: probe.resource }]),
      ].map(({ actions, resources }) => ({
        Effect: 'Allow',
        Action: actions,
        Resource: resources,
        Condition: { DateLessThan: { 'aws:CurrentTime': deadline } },
      })),
      ...(denied.length > 0 ? [{ Effect: 'Deny', Action: denied, Resource: '*' }] : []),
    ],
  })
}
