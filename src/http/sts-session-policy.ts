/**
 * A session policy, as far as an ask can say the same: what is allowed, on what. AWS would cut it down to what the
 * role allows; here it is what is asked for, and is refused where it is more than the agent may have.
 */
import { z } from 'zod'
import { parseStrictJson, StrictJsonError } from '../../attestors/shared/strict-json.ts'
import type { AwsStatement } from '../../issuers/shared/aws-ask.ts'
import { StsRefusal } from './sts-refusal.ts'

const oneOrMore = z.union([z.string().transform(text => [text]), z.array(z.string()).min(1).max(64)])
const statement = z.strictObject({
  Sid: z.string().max(128).optional(),
  Effect: z.literal('Allow', 'only Effect Allow can be asked for'),
  Action: oneOrMore,
  Resource: oneOrMore,
})
const document = z.strictObject({
  Version: z.literal('2012-10-17').optional(),
  Id: z.string().max(128).optional(),
  Statement: z.union([statement.transform(one => [one]), z.array(statement).min(1).max(16)]),
})

/** @throws StsRefusal `MalformedPolicyDocument` */
export function sessionStatements(policy: string): AwsStatement[] {
  const result = document.safeParse(parsed(policy))
  if (result.success)
    return result.data.Statement.map(({ Action, Resource }) => ({ actions: Action, resources: Resource }))
  throw malformed(
    'a session policy is taken with Statement, Effect Allow, Action and Resource: no Deny, no Condition, no NotAction',
  )
}

function parsed(policy: string): unknown {
  try {
    return parseStrictJson(policy)
  } catch (error) {
    if (error instanceof StrictJsonError) throw malformed(`Policy is not JSON: ${error.message}`)
    throw error
  }
}

const malformed = (message: string) => new StsRefusal('MalformedPolicyDocument', 400, message)
