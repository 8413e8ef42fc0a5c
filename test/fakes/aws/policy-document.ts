/**
 * IAM policy documents: parsed strictly, as IAM does when one is written or passed to AssumeRole.
 * Grammar: IAM User Guide, "Grammar of the IAM JSON policy language".
 */
import { z } from 'zod'
import { AwsError } from './aws-error.ts'
import { conditionFault } from './conditions.ts'

const oneOrMore = z.union([z.string(), z.array(z.string()).min(1)]).transform(value => [value].flat())

const actions = oneOrMore.refine(
  values => values.every(value => value === '*' || /^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$/.test(value)),
  'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.',
)

const resources = oneOrMore.refine(
  values => values.every(value => value === '*' || /^arn:([^:]*:){4}.+$/.test(value)),
  'Resource must be in ARN format or "*".',
)

const scalar = z.union([z.string(), z.number(), z.boolean()]).transform(String)
const conditions = z
  .record(
    z.string(),
    z.record(
      z.string(),
      z.union([scalar, z.array(scalar)]).transform(value => [value].flat()),
    ),
  )
  .superRefine((blocks, context) => {
    const fault = conditionFault(blocks)
    if (fault !== undefined) context.addIssue({ code: 'custom', message: fault })
  })

const statement = z
  .strictObject({
    Sid: z
      .string()
      .regex(/^[A-Za-z0-9]*$/)
      .optional(),
    Effect: z.enum(['Allow', 'Deny']),
    Action: actions.optional(),
    NotAction: actions.optional(),
    Resource: resources.optional(),
    NotResource: resources.optional(),
    Condition: conditions.optional(),
  })
  .refine(value => (value.Action === undefined) !== (value.NotAction === undefined), 'Action or NotAction.')
  .refine(
    value => (value.Resource === undefined) !== (value.NotResource === undefined),
    'Policy statement must contain resources.',
  )

const policyDocument = z
  .strictObject({
    Version: z.enum(['2012-10-17', '2008-10-17']).optional(),
    Id: z.string().optional(),
    Statement: z.union([statement.transform(single => [single]), z.array(statement).min(1)]),
  })
  .refine(({ Statement }) => {
    const sids = Statement.flatMap(({ Sid }) => (Sid ? [Sid] : []))
    return new Set(sids).size === sids.length
  }, 'Statement IDs (SID) in a single policy must be unique.')

export type PolicyDocument = z.infer<typeof policyDocument>
export type Statement = z.infer<typeof statement>

/** @throws AwsError `MalformedPolicyDocument` (400). */
export function parsePolicy(text: string): PolicyDocument {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw malformed('This policy contains invalid Json')
  }
  const parsed = policyDocument.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw malformed(`Syntax errors in policy: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`)
}

function malformed(message: string): AwsError {
  return new AwsError(400, 'MalformedPolicyDocument', message)
}
