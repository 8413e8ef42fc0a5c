/** `mayfly explain DECISION`: why an ask was allowed, denied or left to humans, for whoever answers for the agent. */
import { z } from 'zod'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { printable, printJson, shortTime } from './print.ts'
import type { Terminal } from './terminal.ts'

const texts = z.array(z.string())
const askFacts = z.looseObject({
  issuer: z.string(),
  phase: z.string(),
  resources: z.array(z.looseObject({ type: z.string(), id: z.string(), name: z.string() })),
  permissions: texts,
  targets: texts.default([]),
  mayLeaveAccess: z.boolean().default(false),
  digest: z.string(),
  outcome: z.string().optional(),
  determining: texts.default([]),
  requires: z
    .array(z.looseObject({ policy: z.string(), quorum: z.number(), groups: texts, ownerMay: z.boolean() }))
    .default([]),
  nearest: texts.default([]),
  /** Of a bound that does not cover it: the entry that comes nearest, and what it lacks. */
  beyond: texts.default([]),
  context: z.record(z.string(), z.unknown()).default({}),
})
const answer = z.looseObject({
  id: z.string(),
  outcome: z.enum(['allow', 'deny', 'needs_approval']),
  decided_at: z.string(),
  agent: z.string().nullable(),
  task: z.string().nullable(),
  task_state: z.string().nullable(),
  risk_tier: z.string().nullable(),
  ask_whom: z.looseObject({ business: z.string(), technical: z.string() }).nullable(),
  policy_hash: z.string().nullable(),
  policy_hash_in_force: z.string(),
  in_force: z.boolean(),
  reasons: texts,
  facts: z.looseObject({
    purpose: z.string().optional(),
    /** Of a credential that was live: the denial took it back. */
    lease: z.string().optional(),
    declared: z.record(z.string(), z.unknown()).optional(),
    human: z.looseObject({ issuer: z.string(), subject: z.string(), name: z.string() }).optional(),
    identity: z
      .looseObject({
        attestor: z.string(),
        subject: z.string(),
        claims: z.record(z.string(), z.unknown()).default({}),
      })
      .optional(),
    asks: z.array(askFacts).default([]),
  }),
  asks: z.array(z.looseObject({ id: z.string(), issuer: z.string(), state: z.string() })),
  policies: z.array(
    z.looseObject({
      id: z.string(),
      place: z.string(),
      description: z.string().optional(),
      text: z.string(),
    }),
  ),
})
type Answer = z.infer<typeof answer>

export async function explain(
  terminal: Terminal,
  id: string,
  options: BrokerOption & OperatorTokenOption & { json?: boolean },
): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const path = `/v1/decisions/${encodeURIComponent(id)}`
  const shown = await client.call({ method: 'GET', path, token, whenLost: 'repeat' }, answer)
  if (options.json) printJson(terminal, shown)
  else
    terminal.out(
      describe(shown)
        .map(line => `${line.trimEnd()}\n`)
        .join(''),
    )
}

const OUTCOMES = { allow: 'allowed', deny: 'denied', needs_approval: 'left to humans' } as const

function describe(shown: Answer): string[] {
  const { facts } = shown
  return [
    `${shown.id} ${OUTCOMES[shown.outcome]}, ${shortTime(shown.decided_at)}`,
    line('agent', shown.agent === null ? 'none matched' : [shown.agent, tier(shown.risk_tier)].join('')),
    ...(shown.task === null ? [] : [line('task', `${shown.task} (${shown.task_state ?? 'unknown'})`)]),
    ...(facts.lease === undefined ? [] : [line('revoked', `${facts.lease}, which was live`)]),
    ...(facts.purpose === undefined ? [] : [line('purpose', facts.purpose)]),
    ...(facts.identity === undefined
      ? []
      : [
          line('proven', `${facts.identity.subject} by ${facts.identity.attestor}`),
          ...pairs(facts.identity.claims),
        ]),
    ...(facts.human === undefined
      ? []
      : [line('for', `${facts.human.name} (${facts.human.issuer}#${facts.human.subject})`)]),
    ...(facts.declared === undefined ? [] : [line('declared', JSON.stringify(facts.declared))]),
    ...shown.reasons.map(reason => line('because', reason)),
    ...facts.asks.flatMap(describeAsk),
    ...shown.asks.map(ask => line('stands', `${ask.id} (${ask.issuer}) is ${ask.state}`)),
    ...shown.policies.flatMap(({ id, place, description, text }) => [
      `  rule      ${printable(id)} (${printable(place)})${description === undefined ? '' : `: ${printable(description)}`}`,
      ...text.split('\n').map(one => `            ${printable(one)}`),
    ]),
    line('policies', `${shown.policy_hash ?? 'none'}${inForce(shown)}`),
    ...whom(shown),
  ]
}

const line = (label: string, text: string) => `  ${label.padEnd(9)} ${printable(text)}`
const pairs = (members: Readonly<Record<string, unknown>>) =>
  Object.entries(members).map(([name, value]) => `            ${printable(`${name} = ${plain(value)}`)}`)
const plain = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

/** What rules read as a moment (epoch ms in the facts) is one for people, too. */
const readable = (context: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(
    Object.entries(context).map(([name, value]) => [
      name,
      name === 'now' && typeof value === 'number' ? shortTime(new Date(value).toISOString()) : value,
    ]),
  )
const tier = (risk: string | null) => (risk === null ? '' : ` (risk tier ${risk})`)

function inForce({ in_force, policy_hash_in_force: now }: Answer): string {
  return in_force ? ', which is in force' : `; in force is ${now}: the same ask may fare otherwise today`
}

function describeAsk(ask: Answer['facts']['asks'][number]): string[] {
  const groups = (names: readonly string[]) =>
    names.length === 0 ? 'who may approve' : `of ${names.join(', ')}`
  return [
    line('ask', `${ask.issuer}: ${ask.phase}, ${ask.permissions.join(' ')}`),
    ...ask.resources.map(({ type, id, name }) =>
      line('  on', `${type} ${name}${name === id ? '' : ` (${id})`}`),
    ),
    ...(ask.targets.length === 0 ? [] : [line('  within', ask.targets.join(' '))]),
    ...(ask.mayLeaveAccess ? [line('  note', 'its holder could plant access that outlives it')] : []),
    ...pairs(readable(ask.context)),
    ...(ask.determining.length === 0 ? [] : [line('  by', ask.determining.join(', '))]),
    ...ask.requires.map(({ policy, quorum, groups: named, ownerMay }) =>
      line(
        '  needs',
        `${quorum} ${groups(named)}, says ${policy}${ownerMay ? '; the owner may be among them' : ''}`,
      ),
    ),
    ...[...ask.nearest, ...ask.beyond].map(miss => line('  nearest', miss)),
    line('  digest', ask.digest),
  ]
}

function whom({ ask_whom: owner, agent, outcome }: Answer): string[] {
  if (outcome === 'allow') return []
  if (owner !== null)
    return [line('ask', `${owner.business}, who answers for it; ${owner.technical} runs it`)]
  return [
    agent === null
      ? line('ask', 'nobody owns it: register an agent whose rule this workload matches')
      : line('ask', 'nobody: the agent is registered no more'),
  ]
}
