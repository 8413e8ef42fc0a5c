/** What a broker remembers of an agent is good for a mint that looks again, and for nothing else. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { changeStanding } from '../../src/broker/agents/agent-standing.ts'
import type { Broker } from '../../src/broker/broker.ts'
import type { BrokerError } from '../../src/broker/broker-error.ts'
import type { WantedAsk } from '../../src/broker/credentials/resolve-asks.ts'
import { createHeldMemory } from '../../src/broker/held-memory.ts'
import { openTask } from '../../src/broker/tasks/open-task.ts'
import { verifyMintingAgent } from '../../src/broker/verified-rows.ts'
import { withFreshConfiguration } from '../../src/broker/with-fresh-configuration.ts'
import type { RunningServer } from '../../src/server.ts'
import type { LedgerWrite } from '../../src/store/ledger.ts'
import { createInstallation, type Installation, ORDERS, startBroker } from '../fakes/installation.ts'

const RULES = `@id("all") permit(principal, action in Mayfly::Action::"*:*", resource);
@id("not-after-writing") forbid(principal, action in Mayfly::Action::"*:execute", resource)
when { context.held.phases.agent.contains("propose") };
@id("only-at-work") forbid(principal is Mayfly::Agent, action, resource)
when { principal.status == "quarantined" || principal.status == "removed" };`
const write = { issuer: 'github', ask: { repositories: ['acme/api'], permissions: { contents: 'write' } } }
const read = { issuer: 'github', ask: { repositories: ['acme/api'], permissions: { contents: 'read' } } }
const run = { issuer: 'jwt', ask: { audience: ORDERS, scopes: ['orders.read'] } }

let installation: Installation
let server: RunningServer
let broker: Broker
let asked: string[]
beforeAll(async () => {
  installation = await createInstallation({ settings: { policies_dir: 'policies' } })
  const folder = join(installation.directory, 'policies')
  await mkdir(folder)
  await writeFile(join(folder, 'all.cedar'), RULES)
  server = await startBroker(installation)
})
afterAll(async () => {
  await server?.stop()
  await installation?.close()
})
beforeEach(() => {
  installation.clock.advance(25 * 3_600_000)
  asked = []
  broker = counting(server.broker, asked)
})

/** Writes down which of an agent's facts are read, and remembers nothing yet. */
function counting(whole: Broker, asked: string[]): Broker {
  const { ledger } = whole
  const reads = {
    ...ledger.read,
    held: (...given: Parameters<typeof ledger.read.held>) => {
      asked.push('held')
      return ledger.read.held(...given)
    },
    agent: (name: string) => {
      asked.push('agent')
      return ledger.read.agent(name)
    },
  }
  return otherOn({ ...whole, ledger: { ...ledger, read: reads } })
}

/** Another broker on the same ledger, as far as memory goes. */
const otherOn = (one: Broker): Broker => ({
  ...one,
  heldMemory: createHeldMemory(),
  verifiedAgents: new Map(),
})

let job = 0
async function openWith(by: Broker, ask: WantedAsk, mintFirst = true) {
  job += 1
  const token = await installation.jobToken({ run_id: `${job}`, check_run_id: `${job}` })
  const wanted = { evidence: { type: 'jwt' as const, token }, purpose: 'a test', asks: [ask], mintFirst }
  return withFreshConfiguration(by, within => openTask(within, wanted))
}
const outcome = (opening: Promise<unknown>) =>
  opening.then(
    () => 'opened',
    (error: BrokerError) => error.code,
  )

test('a mint of what was given already reads nothing of the agent again', async () => {
  await openWith(broker, run)
  await openWith(broker, run)
  asked.length = 0
  const { decision } = await openWith(broker, run)
  expect(asked).toEqual([])
  const kept = await broker.ledger.read.decision(decision)
  expect(JSON.parse(kept!.facts).asks[0].context.held.phases).toEqual({ agent: ['execute'] })
})

test('an opening that mints nothing reads all of it', async () => {
  await openWith(broker, run)
  await openWith(broker, run)
  asked.length = 0
  await openWith(broker, run, false)
  expect(asked.sort()).toEqual(['agent', 'held'])
})

test('what another broker gave meanwhile is seen', async () => {
  await openWith(broker, run)
  await openWith(broker, run)
  await openWith(otherOn(broker), write)
  expect(await outcome(openWith(broker, run))).toBe('ask_denied')
})

test('nobody is refused by what is remembered', async () => {
  await openWith(broker, run)
  await openWith(broker, run)
  const by = { agents: broker.agents(), names: 'phases.agent' }
  const [agent] = [...broker.verifiedAgents.keys()]
  const turn = `held/team/${broker.agents().get(agent!)!.owner.business}`
  const now = broker.now()
  const known = broker.heldMemory.recall(by, turn, agent!, now)
  const { facts } = known!
  const worse = { ...facts, phases: { ...facts.phases, agent: ['propose' as const] } }
  broker.heldMemory.keep(by, turn, agent!, { ...known!, facts: worse })
  asked.length = 0
  expect(await outcome(openWith(broker, run))).toBe('opened')
  expect(asked.sort()).toEqual(['agent', 'held'])
})

test('what was read more than a moment ago is read again', async () => {
  await openWith(broker, run)
  await openWith(broker, run)
  installation.clock.advance(broker.limits.heldRecallMs)
  asked.length = 0
  await openWith(broker, run)
  expect(asked).toEqual(['held'])
})

test('an agent that was put into quarantine is judged as that, for reading too', async () => {
  const { task } = await openWith(broker, read)
  expect(await outcome(openWith(broker, read))).toBe('opened')
  const to = (verb: 'quarantine' | 'activate') =>
    changeStanding(
      broker,
      { agent: task.agent, verb, reason: 'a test', cause: 'operator', mayWiden: true },
      'operator:test',
    )
  await to('quarantine')
  expect(await outcome(openWith(broker, read))).toBe('ask_denied')
  await to('activate')
  expect(await outcome(openWith(broker, read))).toBe('opened')
})

test('an agent that was removed is judged as that, and the denial is kept', async () => {
  const { task } = await openWith(broker, read)
  const { ledger } = broker
  const { name, digest, document, updated_at, mac } = (await ledger.read.agent(task.agent))!
  const put = (status: 'removed' | 'active') =>
    ledger.write(tx => tx.putAgent({ name, digest, document, status, updated_at, mac }))
  await put('removed')
  const refused = await openWith(broker, read).catch((error: BrokerError) => error)
  await put('active')
  expect(refused).toMatchObject({ code: 'ask_denied', decision: expect.stringMatching(/^dec_/) })
  expect(await outcome(openWith(broker, read))).toBe('opened')
})

test('an agent whose row was put back otherwise while it was looked at is not remembered', async () => {
  const { task } = await openWith(broker, read)
  const row = (await broker.ledger.read.agent(task.agent))!
  const forged = { ...row, mac: 'v1.forged' }
  for (const whole of [undefined, row]) {
    const fresh = otherOn(broker)
    // As much of a transaction as this needs.
    const tx = { lockAgent: async () => whole } as unknown as LedgerWrite
    await expect(verifyMintingAgent(fresh, tx, forged)).rejects.toThrow('changed while it was looked at')
    expect(fresh.verifiedAgents.size).toBe(0)
  }
})
