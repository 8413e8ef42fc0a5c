/** What becomes of a webhook that cannot be taken: it is told, and nothing is remembered of it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { type AppOptions, createApp } from '../../src/http/app.ts'
import { type Listener, listen } from '../../src/http/listen.ts'
import { type Ledger, LedgerUnavailable } from '../../src/store/ledger.ts'
import { signed } from '../fakes/github/webhooks.ts'
import { createStage, SECRET, type Stage } from '../observers/github-stage.ts'

let stage: Stage
const open: Listener[] = []
beforeAll(async () => {
  stage = await createStage()
})
afterAll(async () => {
  await Promise.all(open.map(listener => listener.close()))
  await stage?.close()
})

/** The stage's broker behind another listener, with these parts changed. */
async function serve(changes: Partial<Broker>): Promise<{ url: string; alarms: unknown[] }> {
  const alarms: unknown[] = []
  const error = (fields: Readonly<Record<string, unknown>>) => {
    if (fields.alarm !== undefined) alarms.push(fields.alarm)
  }
  const base = stage.broker.broker
  const broker: Broker = { ...base, log: { ...base.log, error }, ...changes }
  // The routes that need the rest of the options are not asked for here.
  const options = {
    publicUrl: 'http://127.0.0.1',
    proxyHops: 0,
    operators: false,
    githubWebhooks: async () => [new Secret(SECRET)],
    notReady: async () => undefined,
    stopping: () => false,
  } as unknown as AppOptions
  const listener = await listen(createApp(broker, options), { host: '127.0.0.1', port: 0 }, broker.limits)
  open.push(listener)
  return { url: `${listener.url}/webhooks/github`, alarms }
}

test('one that comes too fast is turned away with an alarm, whoever sent it', async () => {
  const { limits } = stage.broker.broker
  const { url, alarms } = await serve({ limits: { ...limits, webhooksPerMinutePerSource: 2 } })
  const ping = () =>
    fetch(url, { method: 'POST', ...signed('ping', '{"zen":"x"}', SECRET, bytes => Buffer.alloc(bytes)) })
  expect([(await ping()).status, (await ping()).status]).toEqual([202, 202])
  const third = await ping()
  expect([third.status, alarms]).toEqual([429, ['webhook_turned_away']])
  expect(Number(third.headers.get('retry-after'))).toBeGreaterThan(0)
})

test('others who are at their limit do not hold webhooks up', async () => {
  const { limits } = stage.broker.broker
  const { url } = await serve({ limits: { ...limits, requestsPerMinutePerSource: 1 } })
  const other = () => fetch(url.replace('/webhooks/github', '/openapi.json'))
  await other()
  expect((await other()).status).toBe(429)
  const ping = signed('ping', '{"zen":"x"}', SECRET, bytes => Buffer.alloc(bytes))
  expect((await fetch(url, { method: 'POST', ...ping })).status).toBe(202)
})

test('one that the ledger could not take is an outage, and is done when it is sent again', async () => {
  const base = stage.broker.broker.ledger
  let failing: 'before' | 'after' | 'not' = 'before'
  const write: Ledger['write'] = async body => {
    if (failing === 'before') throw new LedgerUnavailable('down')
    const done = await base.write(body)
    if (failing === 'after') throw new LedgerUnavailable('the answer was lost')
    return done
  }
  const { url, alarms } = await serve({ ledger: { ...base, write } })
  const job = stage.newJob()
  const task = await stage.open(job)
  stage.installation.github.setJob(job.job, { conclusion: 'success' })
  const told = stage.told(job)
  const send = () => fetch(url, { method: 'POST', ...told })
  expect((await send()).status).toBe(503)
  expect(await stage.state(task)).toBe('active')
  failing = 'after'
  expect((await send()).status).toBe(503)
  expect(alarms).toEqual(['webhook_turned_away', 'webhook_turned_away'])
  // Noted, and the answer lost: the sweep carries it out, with or without a second telling.
  failing = 'not'
  expect((await send()).status).toBe(202)
  await stage.broker.look()
  expect(await stage.state(task)).toBe('completed')
})
