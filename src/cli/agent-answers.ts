/** What the broker answers about agents. */
import { z } from 'zod'
import { leaseAnswer } from './answers.ts'

const time = z.string().nullable()

export const agentAnswer = z.looseObject({
  name: z.string(),
  status: z.string(),
  owner: z.looseObject({ business: z.string(), technical: z.string() }),
  purpose: z.string(),
  risk_tier: z.string(),
  systems: z.array(z.string()),
  build: z.string().optional(),
  flags: z.array(z.string()),
  standing: z.looseObject({
    since: time,
    by: z.string().nullable(),
    reason: z.string().nullable(),
    revocation: z.string().nullable(),
  }),
  certified: z.looseObject({ build: z.string().nullable(), until: time, by: z.string().nullable() }),
  active_tasks: z.number(),
  outstanding_credentials: z.number(),
  last_used: time,
})
export type AgentAnswer = z.infer<typeof agentAnswer>

export const agentsAnswer = z.looseObject({ items: z.array(agentAnswer) })

const total = z.number()
export const offboardingAnswer = z.looseObject({
  agent: z.string(),
  status: z.string(),
  since: time,
  by: z.string(),
  reason: z.string(),
  owner: z.looseObject({ business: z.string(), technical: z.string() }),
  systems: z.array(z.string()),
  revocation: z.string(),
  tasks: z.looseObject({
    ended: total,
    complete: z.boolean(),
    receipts: z.array(z.looseObject({ task: z.string(), sha256: z.string().nullable() })),
  }),
  credentials: z.looseObject({
    reached: total,
    confirmed_dead: total,
    expired: total,
    expired_unconfirmed: total,
    never_minted: total,
    complete: z.boolean(),
    items: z.array(leaseAnswer.extend({ sha256: z.string().nullable() })),
  }),
  bindings: z.looseObject({
    attest_rules_void: total,
    delegated_from: z.array(z.string()),
    delegated_to: z.array(z.string()),
    preapprovals_open: total,
  }),
  open: z.looseObject({ tasks: total, credentials: total, run: total }),
})
export type OffboardingAnswer = z.infer<typeof offboardingAnswer>
