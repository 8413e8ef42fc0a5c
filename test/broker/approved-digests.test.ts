/**
 * No sequence of requests, approvals, denials, expiries, ends and policy changes yields a mint that the humans whom
 * the rules demand have not agreed to. What was agreed to is remembered here from what humans were shown, and what
 * is minted is compared with it from the lease.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { approve, deny } from '../../src/broker/approvals/answer-approval.ts'
import { type ApprovalDocument, readDocument } from '../../src/broker/approvals/approval-document.ts'
import { expireApprovals } from '../../src/broker/approvals/end-approvals.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { BrokerError } from '../../src/broker/broker-error.ts'
import { requestCredential } from '../../src/broker/credentials/grant-ask.ts'
import type { Operator } from '../../src/broker/people/operators.ts'
import { endTask } from '../../src/broker/tasks/end-task.ts'
import { extendTask } from '../../src/broker/tasks/extend-task.ts'
import { type OpenedTask, openTask } from '../../src/broker/tasks/open-task.ts'
import { withFreshConfiguration } from '../../src/broker/with-fresh-configuration.ts'
import { canonicalJson } from '../../src/canonical.ts'
import { compilePolicies } from '../../src/policy/cedar/compile.ts'
import { judgeCompiled } from '../../src/policy/cedar/judge.ts'
import { vocabularyOf } from '../../src/policy/cedar/vocabulary.ts'
import type { PolicyEngine } from '../../src/policy/facts.ts'
import type { RunningServer } from '../../src/server.ts'
import { createInstallation, type Installation, ORDERS, startBroker } from '../fakes/installation.ts'

/** What a set demands, in the words of this test. */
type Demand = { quorum: number; group?: string; ownerMay: boolean }
type PolicySet = { demands: readonly Demand[]; denies?: true }

const lead: Demand = { quorum: 1, group: 'leads', ownerMay: false }
const security: Demand = { quorum: 2, group: 'security', ownerMay: false }
const anybody: Demand = { quorum: 1, ownerMay: true }
const SETS: readonly PolicySet[] = [
  { demands: [lead] },
  { demands: [lead, anybody] },
  { demands: [anybody] },
  { demands: [security] },
  { demands: [security, lead] },
  { demands: [] },
  { demands: [], denies: true },
]

const HUMANS: readonly { name: string; groups: string[]; owner?: true }[] = [
  { name: 'lea', groups: ['leads'] },
  { name: 'sam', groups: ['security'] },
  { name: 'max', groups: ['leads', 'security'] },
  { name: 'olga', groups: ['leads', 'product@acme.test'], owner: true },
  { name: 'out', groups: ['others'] },
]

const ASKS = [
  { issuer: 'jwt', ask: { audience: ORDERS, scopes: ['orders.read'] } },
  { issuer: 'jwt', ask: { audience: ORDERS, scopes: ['orders.write'] } },
  { issuer: 'github', ask: { repositories: ['acme/api'], permissions: { contents: 'write' } } },
]

const which = fc.nat(2)
const human = fc.nat(HUMANS.length - 1)
const command = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('open'), ask: fc.nat(2), mints: fc.integer({ min: 1, max: 2 }) }),
  },
  { weight: 24, arbitrary: fc.record({ do: fc.constant('approve'), which, human }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deny'), which, human }) },
  {
    weight: 14,
    arbitrary: fc.record({ do: fc.constant('mint'), which, times: fc.integer({ min: 1, max: 2 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end'), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('extend'), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait'), minutes: fc.constantFrom(1, 12, 45) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('policy'), set: fc.nat(SETS.length - 1) }) },
) as fc.Arbitrary<Command>
type Command =
  | { do: 'open'; ask: number; mints: number }
  | { do: 'approve' | 'deny'; which: number; human: number }
  | { do: 'mint'; which: number; times: number }
  | { do: 'end' | 'extend'; which: number }
  | { do: 'wait'; minutes: number }
  | { do: 'policy'; set: number }

let installation: Installation
let server: RunningServer
let broker: Broker
let engines: readonly PolicyEngine[]

beforeAll(async () => {
  installation = await createInstallation()
  server = await startBroker(installation)
  broker = server.broker
  broker.limits = { ...broker.limits, approvalsPerHourPerAgent: 1_000_000 }
  engines = SETS.map(engineOf)
})
afterAll(async () => {
  await server?.stop()
  await installation?.close()
})

function engineOf(set: PolicySet, index: number): PolicyEngine {
  const every = 'principal, action in Mayfly::Action::"*:*", resource'
  const rules = set.demands.map(
    ({ quorum, group, ownerMay }, n) =>
      `@id("rule-${n}") @onDeny("needs_approval") @quorum("${quorum}") ${ownerMay ? '@ownerMay("approve")' : ''}
      ${group === undefined ? '' : `@approvers("group:${group}")`} forbid(${every}) unless { context has approval };`,
  )
  const freeze = set.denies ? [`@id("freeze") forbid(${every});`] : []
  const text = [`@id("all") permit(${every});`, ...rules, ...freeze].join('\n')
  const compiled = compilePolicies(
    [{ name: `${index}.cedar`, text }],
    vocabularyOf(broker.attestors, broker.issuers),
  )
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems))
  return {
    hash: () => `set-${index}`,
    needs: () => ({ held: [], digest: false }),
    judge: async request => judgeCompiled(compiled.set, request),
  }
}

/** One history, and beside it who agreed to what. */
class History {
  readonly opened: OpenedTask[] = []
  /** By approval: what was shown, and who said yes to it. */
  readonly agreed = new Map<string, { document: ApprovalDocument; humans: Set<number>; minted: number }>()
  set = 0
  underApproval = 0
}

async function step(history: History, command: Command): Promise<void> {
  const task =
    'which' in command ? history.opened[command.which % Math.max(1, history.opened.length)] : undefined
  switch (command.do) {
    case 'open': {
      const evidence = { type: 'jwt' as const, token: await installation.jobToken() }
      const asks = [ASKS[command.ask]!]
      const wish = { mints: command.mints }
      const request = { evidence, purpose: 'a history', asks, mintFirst: false, wish, minutes: 30 }
      history.opened.push(await withFreshConfiguration(broker, within => openTask(within, request)))
      return
    }
    case 'policy':
      history.set = command.set
      broker.policy = engines[command.set]!
      return
    case 'wait':
      installation.clock.advance(command.minutes * 60_000)
      await expireApprovals(broker)
      return
    case 'end':
      if (task) await endTask(broker, task.task.id, 'completed', { actor: 'test' })
      return
    case 'extend':
      if (task)
        await withFreshConfiguration(broker, within =>
          extendTask(within, task.task, { minutes: 10, reason: 'slow' }),
        )
      return
    case 'mint':
      if (task) await mint(history, task, command.times)
      return
    default:
      if (task) await answer(history, task, command.do, command.human)
  }
}

async function answer(history: History, { asks }: OpenedTask, verb: 'approve' | 'deny', who: number) {
  const row = await broker.ledger.read.approvalOf(asks[0]!.id)
  if (row === undefined) return
  const { name, groups } = HUMANS[who]!
  const operator: Operator = { id: `people#${name}`, name, groups, kind: 'human', fresh: true }
  if (verb === 'deny') return void (await deny(broker, operator, row.id, 'no'))
  await approve(broker, operator, row.id, null)
  const known = history.agreed.get(row.id)
  const shown = known ?? { document: readDocument(row.document), humans: new Set<number>(), minted: 0 }
  shown.humans.add(who)
  history.agreed.set(row.id, shown)
}

async function mint(history: History, { task, asks }: OpenedTask, times: number): Promise<void> {
  const once = () =>
    withFreshConfiguration(broker, within => requestCredential(within, task, { ask: asks[0]!.id }))
  const done = await Promise.allSettled(Array.from({ length: times }, once))
  for (const one of done) {
    if (one.status === 'rejected') {
      if (!(one.reason instanceof BrokerError)) throw one.reason
      continue
    }
    const lease = (await broker.ledger.read.lease(one.value.lease))!
    const { demands, denies } = SETS[history.set]!
    expect(denies).toBeUndefined()
    if (demands.length === 0) continue
    history.underApproval += 1
    const { deadline } = (await broker.ledger.read.task(task.id))!
    const ask = JSON.parse((await broker.ledger.read.ask(asks[0]!.id))!.ask) as object
    // To the letter what somebody was shown: this task, this ask, until then, under this set.
    const shown = [...history.agreed.values()].filter(
      ({ document }) =>
        document.task.id === lease.task &&
        canonicalJson(document.ask.authorization_details) === canonicalJson({ type: lease.issuer, ...ask }) &&
        document.deadline === new Date(deadline).toISOString() &&
        lease.expires_at <= deadline &&
        document.policy === `set-${history.set}`,
    )
    const good = shown.find(
      ({ document, humans, minted }) =>
        minted < document.mints && demands.every(demand => isMet(demand, [...humans])),
    )
    if (good === undefined)
      throw new Error(`minted, and nobody agreed: ${JSON.stringify({ shown, demands })}`)
    good.minted += 1
  }
}

function isMet({ quorum, group, ownerMay }: Demand, humans: readonly number[]): boolean {
  const counted = humans.filter(
    who => (ownerMay || !HUMANS[who]!.owner) && (group === undefined || HUMANS[who]!.groups.includes(group)),
  )
  return counted.length >= quorum
}

test('nothing is minted that was not agreed to by whom the rules demand', async () => {
  let [runs, withMints] = [0, 0]
  await fc.assert(
    fc.asyncProperty(
      fc.nat(SETS.length - 3),
      fc.nat(2),
      fc.array(command, { minLength: 12, maxLength: 28 }),
      async (set, ask, commands) => {
        const history = new History()
        const begin: Command[] = [
          { do: 'policy', set },
          { do: 'open', ask, mints: 2 },
        ]
        for (const one of [...begin, ...commands])
          await step(history, one).catch(error => {
            if (!(error instanceof BrokerError)) throw error
          })
        for (const { task } of history.opened) await endTask(broker, task.id, 'completed', { actor: 'test' })
        runs += 1
        if (history.underApproval > 0) withMints += 1
      },
    ),
    { numRuns: 60, endOnFailure: true },
  )
  // Otherwise it would show nothing.
  expect(withMints / runs).toBeGreaterThanOrEqual(0.3)
}, 60_000)
