/** What a broker mints unasked (drills, looks at runs and at alerts), by what is in force like everything else. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { asks } from '../fakes/installation.ts'
import { createStage, SECRET, type Stage } from '../observers/github-stage.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { until } from '../support/until.ts'

const EVERY_MS = 60_000
const observers = {
  github_webhooks: { secret_file: 'hook-secret' },
  github_poll: { issuer: 'github', every_seconds: EVERY_MS / 1_000 },
}
const { type: _, ...ask } = asks.apiRead
let stage: Stage
let broker: Broker
/** GitHub's operations, in order. */
let calls: string[]

beforeEach(async () => {
  const leaks = { github_alerts: { issuer: 'github' } }
  stage = await createStage({ settings: { observers, leaks, drills: { github: { ask } } } })
  broker = stage.broker.broker
  const { github } = stage.installation
  const permissions = { contents: 'read', actions: 'read', secret_scanning_alerts: 'read' }
  github.changeInstallation(77, { permissions })
  await stage.open(stage.newJob())
  calls = []
  github.faults = ({ operation, when }) => {
    if (when === 'before') calls.push(operation)
    return 'ok'
  }
})
afterEach(() => stage?.close())

/** A drill is asked for, an alert comes, and the poller's time has come. @returns the answer to the first */
async function everythingIsDue() {
  const { installation, api } = stage
  const { github } = installation
  const alert = github.addSecretAlert({ repository: 1, secret: 'not one of ours' })
  await stage.send(github.delivery({ alert, repository: 1, action: 'created' }, SECRET, github.url))
  const operator = await operatorTokenOf(stage.broker)
  const answer = await api.call('POST', '/v1/drills', operator, { issuer: 'github' })
  installation.clock.advance(EVERY_MS)
  await stage.broker.look()
  return answer
}

const looks = () =>
  ['actions/list-jobs-for-workflow-run-attempt', 'secret-scanning/get-alert'].map(
    operation => calls.filter(call => call === operation).length,
  )

test('files that are not in force: nothing is minted, which it once was, and nobody is kept from it', async () => {
  broker.stale = () => 'its files are not those in force'
  expect(await everythingIsDue()).toMatchObject({ status: 503, body: { code: 'configuration_stale' } })
  expect(calls).toEqual([])
  broker.stale = () => undefined
  await stage.broker.look()
  expect(looks()).toEqual([1, 1])
})

test('a registry that has moved on is followed first: that once failed a drill, and a look', async () => {
  const { generation } = broker
  let isBehind = true
  broker.generation = () => (isBehind ? generation() - 1 : generation())
  broker.reloaded = async () => {
    isBehind = false
  }
  const { body } = await everythingIsDue()
  await until(async () => (await broker.ledger.read.drill(body.id))?.state === 'passed')
  await until(async () => looks().every(count => count === 1))
})
