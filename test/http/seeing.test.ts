/** What an operator sees of a broker: metrics, request ids in logs and answers, traces. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT_CONTEXT, type Span, type SpanContext, type Tracer, trace as traceApi } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Log } from '../../src/broker/broker.ts'
import { createTrace } from '../../src/open-telemetry.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import { asks, createInstallation, edgeFor, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { until } from '../support/until.ts'

const SCRAPER = 'a-scraper-token-of-32-characters-'
let installation: Installation
let broker: RunningServer
let api: Api
const opened: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

async function install(settings: Record<string, unknown> = {}): Promise<void> {
  installation = await createInstallation({ settings })
  opened.push(installation.close)
}

/** Starts a broker on the installation. */
async function run(starting: Promise<RunningServer>): Promise<void> {
  broker = await starting
  opened.push(broker.stop)
  api = createApi(broker, installation)
}

type Line = { level: keyof Log; fields: Readonly<Record<string, unknown>> }
function recorded(): { log: Log; lines: Line[] } {
  const lines: Line[] = []
  const at = (level: keyof Log) => (fields: Readonly<Record<string, unknown>>) =>
    void lines.push({ level, fields })
  return { lines, log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } }
}

const scrape = (url: string, token?: string) =>
  fetch(`${url}/metrics`, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })

describe('metrics', () => {
  async function start(settings: Record<string, unknown>): Promise<void> {
    await install(settings)
    await writeFile(join(installation.directory, 'scraper.token'), `${SCRAPER}\n`, { mode: 0o600 })
    await run(startBroker(installation))
  }
  const own = { operator_listen: { host: '127.0.0.1', port: 0 } }
  const guarded = { metrics: { token_file: 'scraper.token' } }

  test.each<[string, Record<string, unknown>, number, number, number]>([
    ['beside the workloads, without a token: not at all', {}, 404, 404, 404],
    ['beside the workloads: with the token only', guarded, 401, 401, 200],
    ['on the operators’ own listener', own, 200, 200, 200],
    ['on the operators’ own listener, with a token', { ...own, ...guarded }, 401, 401, 200],
  ])('%s', async (_, settings, bare, wrong, right) => {
    await start(settings)
    const { operatorUrl: url } = broker
    const operator = await operatorTokenOf(broker)
    const answers = [await scrape(url), await scrape(url, operator), await scrape(url, SCRAPER)]
    expect(answers.map(answer => answer.status)).toEqual([bare, wrong, right])
    if (settings.operator_listen !== undefined) expect((await scrape(broker.url)).status).toBe(404)
  })

  test('count what happened, and read what stands, with no id and no secret in any label', async () => {
    await start({ ...own, ...guarded })
    const task = await api.open([asks.api, asks.orders])
    for (const ask of task.asks) expect((await api.credential(task, ask)).status).toBe(201)
    await api.call('POST', '/v1/tasks', undefined, {
      ...{ evidence: { type: 'jwt', token: 'no.such.token' }, purpose: 'x', authorization_details: [] },
    })
    await api.complete(task)
    await api.until(task, 'settled')
    await broker.look()
    const text = await (await scrape(broker.operatorUrl, SCRAPER)).text()
    const value = (series: string) =>
      Number(
        text
          .split('\n')
          .find(line => line.startsWith(`${series} `))
          ?.split(' ')
          .at(-1),
      )
    expect(value('mayfly_mint_seconds_count{issuer="github",outcome="issued"}')).toBeGreaterThanOrEqual(1)
    expect(value('mayfly_mint_seconds_count{issuer="jwt",outcome="issued"}')).toBe(1)
    expect(value('mayfly_refusals_total{code="evidence_rejected"}')).toBe(1)
    expect(value('mayfly_revocation_seconds_count{issuer="github"}')).toBeGreaterThanOrEqual(1)
    expect(value('mayfly_leases{state="closed",issuer="jwt"}')).toBe(1)
    expect(value('mayfly_signing_key_age_seconds{purpose="task-jwt"}')).toBeGreaterThanOrEqual(0)
    expect(value('mayfly_ledger_up')).toBe(1)
    expect(value('mayfly_blocks')).toBe(0)
    expect(value('mayfly_ledger_write_seconds_count')).toBeGreaterThan(3)
    expect(value('mayfly_ledger_group_transactions_count')).toBeGreaterThan(3)
    expect(text).toMatch(/mayfly_evidence_rejected_total\{reason="\w+"\} 1\n/)
    expect(text).not.toMatch(/(tsk|lse|ask|dec|rev|req)_[0-9a-z]{26}|ghs_|mft_|mfo_|repo:acme/)
  })

  test('tell of what is past its end, an open breaker and an alarm; another scrape soon costs nothing', async () => {
    await start({ ...own })
    const task = await api.open([asks.api])
    await api.credential(task)
    installation.github.faults = () => ({ status: 503 })
    await api.complete(task)
    await until(
      async () =>
        (await broker.broker.ledger.read.leases({ state: 'revoking' }, { limit: 1 })).items[0]?.last_error !=
        null,
    )
    installation.clock.advance(60_000)
    const first = await (await scrape(broker.operatorUrl)).text()
    expect(first).toMatch(/mayfly_leases_past_end\{issuer="github",revocability="immediate"\} 1\n/)
    expect(first).toMatch(/mayfly_oldest_unrevoked_seconds\{issuer="github",revocability="immediate"\} 6\d/)
    installation.clock.advance(3 * 3_600_000)
    await broker.look()
    installation.github.faults = () => 'ok'
    const later = await (await scrape(broker.operatorUrl)).text()
    expect(later).toContain('mayfly_alarms_total{alarm="expired_unconfirmed"} 1\n')
    expect(later).not.toContain('mayfly_leases_past_end{')
  })

  test('a token that is too short to be one is refused at the start', async () => {
    await install(guarded)
    await writeFile(join(installation.directory, 'scraper.token'), 'short\n', { mode: 0o600 })
    await expect(startBroker(installation)).rejects.toThrow('at least 32 characters')
  })
})

describe('a request is named', () => {
  let lines: Line[]
  beforeEach(async () => {
    await install()
    const watched = recorded()
    lines = watched.lines
    await run(startBroker(installation, watched.log))
  })
  const get = (path: string, headers: Record<string, string> = {}) => fetch(broker.url + path, { headers })

  test('by the caller, in the answer and in the problem document', async () => {
    const answer = await get('/v1/leases', { 'x-request-id': 'build-17.a_b' })
    expect(answer.headers.get('x-request-id')).toBe('build-17.a_b')
    expect(await answer.json()).toMatchObject({ instance: 'urn:mayfly:request:build-17.a_b' })
    expect((await get('/livez')).headers.get('x-request-id')).toMatch(/^req_[0-9a-z]{26}$/)
    expect((await get('/nothing')).headers.get('x-request-id')).toMatch(/^req_/)
  })

  test.each(['', 'a b', 'a"b', 'x'.repeat(65), '-x', 'a,b', 'é'])('not by %j', async sent => {
    const answer = await get('/livez', { 'x-request-id': sent })
    expect(answer.headers.get('x-request-id')).toMatch(/^req_[0-9a-z]{26}$/)
  })

  test('in every line that is logged for it', async () => {
    installation.github.faults = () => ({ status: 503 })
    const token = await installation.jobToken()
    const answer = await fetch(`${broker.url}/v1/tasks`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'the-one' },
      body: JSON.stringify({
        ...{ evidence: { type: 'jwt', token }, purpose: 'x', authorization_details: [asks.api] },
      }),
    })
    installation.github.faults = () => 'ok'
    expect(answer.status).toBe(503)
    const told = lines.filter(line => line.level === 'warn' || line.level === 'error')
    expect(told.filter(line => line.fields.request_id === 'the-one').length).toBeGreaterThanOrEqual(2)
  })

  test('rejected evidence names it in the header alone: its body tells no cause from another', async () => {
    const answer = await api.call('POST', '/v1/tasks', undefined, {
      ...{ evidence: { type: 'jwt', token: 'x.y.z' }, purpose: 'x', authorization_details: [] },
    })
    expect(answer.body).not.toHaveProperty('instance')
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/)
  })
})

describe('traces', () => {
  type Seen = { name: string; trace: string; parent: string | undefined; attributes: object; id: string }

  function createTracer(): { tracer: Tracer; spans: Seen[] } {
    const spans: Seen[] = []
    let next = 0
    const startSpan: Tracer['startSpan'] = (name, options = {}, context = ROOT_CONTEXT) => {
      const parent = traceApi.getSpanContext(context)
      next += 1
      const spanId = String(next).padStart(16, '0')
      const traceId = parent?.traceId ?? String(next).padStart(32, 'a')
      const own: SpanContext = { traceId, spanId, traceFlags: 1 }
      const attributes = { ...options.attributes }
      const span = {
        spanContext: () => own,
        isRecording: () => true,
        setStatus: () => span,
        setAttribute: (key: string, value: unknown) => Object.assign(attributes, { [key]: value }) && span,
        end: () => void spans.push({ name, id: spanId, trace: traceId, parent: parent?.spanId, attributes }),
      }
      // The rest of a span is not used.
      return span as unknown as Span
    }
    return { spans, tracer: { startSpan } as Tracer }
  }

  test('go from the caller’s through the request to the provider; the reaper has its own', async () => {
    await install()
    const { tracer, spans } = createTracer()
    const edge = { ...edgeFor(installation), trace: createTrace(tracer) }
    await run(startServer(installation.configPath, edge))
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const token = await installation.jobToken()
    const open = await fetch(`${broker.url}/v1/tasks`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
      body: JSON.stringify({
        ...{ evidence: { type: 'jwt', token }, purpose: 'x', authorization_details: [asks.api] },
      }),
    })
    expect(open.status).toBe(201)
    const request = spans.find(span => span.name === 'request' && span.trace === traceId)!
    expect(request.parent).toBe('00f067aa0ba902b7')
    const below = spans.filter(span => span.parent === request.id).map(span => span.name)
    for (const name of ['attest', 'issuer.resolve', 'ledger.write']) expect(below).toContain(name)

    const { task, task_token } = (await open.json()) as {
      task: { id: string; asks: { id: string }[] }
      task_token: string
    }
    const minted = await api.call('POST', `/v1/tasks/${task.id}/credentials`, task_token, {
      ask: task.asks[0]!.id,
    })
    expect(minted.status).toBe(201)
    expect(spans.map(span => span.name)).toContain('issuer.issue')
    await api.call('POST', `/v1/tasks/${task.id}/complete`, task_token, { outcome: 'completed' })
    await broker.look()
    const reap = spans.findLast(span => span.name === 'reap')!
    const calls = spans.filter(span => span.parent === reap.id).map(span => span.name)
    expect(calls).toEqual(expect.arrayContaining(['issuer.revoke', 'issuer.probe']))
    const printed = JSON.stringify(spans)
    expect(printed).not.toMatch(/ghs_|mft_/)
    expect(printed).not.toContain(token.split('.')[2])
  })

  test.each([
    '',
    '00-0-0-00',
    `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
    `ff-${'a'.repeat(32)}-00f067aa0ba902b7-01`,
  ])('a malformed traceparent %j begins a new one', async traceparent => {
    const { tracer, spans } = createTracer()
    await createTrace(tracer)
      .continuing(traceparent)
      .span('request', {}, async () => {})
    expect(spans[0]!.parent).toBeUndefined()
  })
})
