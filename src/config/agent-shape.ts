/** The shape of one agent's file, before it is held against instances and other agents. */
import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { optionalLimits } from './budgets.ts'
import { lineShape, nameShape, wholeNumber, wordsShape } from './shapes.ts'

type RuleValue = string | number | boolean

/** One value or a list, read as a list. Exact: what looks like a pattern is refused, never taken literally. */
const claimValues = z.unknown().transform((input, context): RuleValue[] => {
  const list = Array.isArray(input) ? input : [input]
  const refuse = (message: string, remedy?: string, path: number[] = []) =>
    context.addIssue({
      code: 'custom',
      message,
      path,
      ...(remedy === undefined ? {} : { params: { remedy } }),
    })
  if (list.length === 0 || list.length > LIMITS.valuesPerClaim) {
    refuse(`expected 1 to ${LIMITS.valuesPerClaim} values`)
  }
  for (const [index, value] of list.entries()) {
    const path = Array.isArray(input) ? [index] : []
    const fault = valueFault(value)
    if (fault !== undefined) refuse(fault.expected, fault.remedy, path)
  }
  return list
})

const subjectValues = claimValues.pipe(z.array(z.string('expected a subject as text, or a list of them')))

function valueFault(value: unknown): { expected: string; remedy?: string } | undefined {
  if (typeof value === 'boolean' || Number.isSafeInteger(value)) return undefined
  if (typeof value !== 'string')
    return { expected: 'expected text, a whole number, true or false, or a list of them' }
  if (value === '' || value.length > LIMITS.claimChars || /\p{Cc}/u.test(value) || value.trim() !== value) {
    return {
      expected: `expected 1 to ${LIMITS.claimChars} characters, no control characters, no white space at the ends`,
    }
  }
  if (!looksLikePattern(value)) return undefined
  return {
    expected: 'expected an exact value: this looks like a pattern, and rules match exact values only',
    remedy: 'List each value that may match',
  }
}

/** Globs, alternation, anchors and the commonest regular-expression parts. */
function looksLikePattern(value: string): boolean {
  return /[*|\\]|^\^|\$$|\.\+|\(\?|^\/.*\/[a-z]*$/.test(value)
}

const ruleShape = (name: z.ZodType<string, string>) =>
  z
    .strictObject({
      attestor: name,
      claims: z
        .record(z.string().regex(/^[A-Za-z][\w.:/-]{0,127}$/, 'expected the name of a claim'), claimValues)
        .default({}),
      subject: subjectValues.optional(),
    })
    .superRefine(({ claims, subject }, context) => {
      const count = Object.keys(claims).length
      if (count > LIMITS.claimsPerRule) {
        context.addIssue({
          code: 'custom',
          path: ['claims'],
          message: `expected at most ${LIMITS.claimsPerRule}`,
        })
      }
      if (count > 0 || subject !== undefined) return
      context.addIssue({
        code: 'custom',
        message:
          'expected at least one claim or a subject: this rule would match everything the attestor proves',
        params: { remedy: 'Name what sets this workload apart' },
      })
    })

const asksShape = z
  .array(z.unknown(), 'expected a list of asks')
  .min(1, 'expected at least one ask')
  .max(LIMITS.ceilingAsksPerIssuer, `expected at most ${LIMITS.ceilingAsksPerIssuer} asks`)

const limitsShape = z.strictObject({
  task_minutes: wholeNumber(LIMITS.taskMinMinutes, LIMITS.taskMinutes, 'minutes'),
  active_tasks: wholeNumber(1, LIMITS.activeTasksPerAgent, 'tasks'),
  credentials_per_hour: wholeNumber(1, LIMITS.credentialsPerHourPerAgent, 'credentials'),
  ...optionalLimits,
  child_depth: wholeNumber(0, LIMITS.lineageDepth, 'levels').optional(),
  children: wholeNumber(0, LIMITS.childrenPerTask, 'children').optional(),
})

/** @param name what agents, attestors and issuers may be called here */
export const agentShapeOf = (name: z.ZodType<string, string>) =>
  z.strictObject({
    name,
    owner: z.strictObject({
      business: lineShape(LIMITS.labelChars),
      technical: lineShape(LIMITS.labelChars),
    }),
    purpose: wordsShape(LIMITS.purposeChars),
    risk_tier: z.enum(['low', 'medium', 'high']),
    systems: z
      .array(lineShape(LIMITS.labelChars))
      .min(1, 'expected at least one system')
      .max(LIMITS.systemsPerAgent),
    expires_at: z.iso
      .datetime({
        offset: true,
        message: 'expected a date and time with its zone, like 2027-01-31T00:00:00Z',
      })
      .transform(text => Date.parse(text)),
    attest: z
      .array(ruleShape(name))
      .min(1, 'expected at least one rule')
      .max(LIMITS.attestRulesPerAgent, `expected at most ${LIMITS.attestRulesPerAgent} rules`),
    ceiling: z
      .record(name, asksShape)
      .refine(all => Object.keys(all).length > 0, 'expected at least one issuer'),
    may_outlive_minutes: z.record(name, wholeNumber(0, LIMITS.mayOutliveMinutes, 'minutes')).default({}),
    limits: limitsShape,
    may_delegate_to: z
      .array(name)
      .refine(names => new Set(names).size === names.length, 'expected each agent once')
      .default([]),
    /** On behalf of which humans: of one of these groups, as their ID token says. Absent: of nobody. */
    may_act_for: z
      .strictObject({
        groups: z
          .array(lineShape(LIMITS.claimChars))
          .min(1, 'expected at least one group')
          .max(LIMITS.operatorGroups),
      })
      .optional(),
    heartbeat_seconds: wholeNumber(
      LIMITS.heartbeatMinSeconds,
      LIMITS.heartbeatMaxSeconds,
      'seconds',
    ).optional(),
    check_in_minutes: wholeNumber(LIMITS.checkInMinMinutes, LIMITS.checkInMaxMinutes, 'minutes').optional(),
    verify_job_running: z.boolean().optional(),
    /** Tasks are opened with a DPoP proof or a client certificate, and their tokens are of no use without that key. */
    bound_key_required: z.boolean().optional(),
    /** Attestors of surroundings: each heartbeat brings a fresh statement of these, and of the same. */
    posture_with_heartbeat: z.array(name).min(1).max(LIMITS.statements).optional(),
    build: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 lower-case hexadecimal digits')
      .optional(),
  })

/** As agents' files have it. */
export const agentShape = agentShapeOf(nameShape)

export type AgentShape = z.infer<typeof agentShape>
