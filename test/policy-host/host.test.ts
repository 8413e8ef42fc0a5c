import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { Phase } from '../../issuers/issuer.ts'
import { LIMITS } from '../../src/limits.ts'
import { type Metrics, noMetrics } from '../../src/metrics.ts'
import type { PolicyRequest } from '../../src/policy/facts.ts'
import { createPolicyHost, type PolicyHost } from '../../src/policy-host/host.ts'
import type { SeatTools } from '../../src/policy-host/seat.ts'
import { silent } from '../fakes/installation.ts'
import { request } from '../policy/cedar/facts.ts'

const ALL = '@id("all") permit(principal, action in Mayfly::Action::"*:*", resource);'
const READS = '@id("reads") permit(principal, action in Mayfly::Action::"*:read", resource);'
const plugins = {
  attestors: new Map(),
  issuers: new Map([['github-app', { resourceTypes: { Repository: ['Owner'] } }]]),
}

const open: PolicyHost[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(host => host.stop()))
})

/** What was counted, and the scheduled moments by their length. */
function start(tools: Partial<SeatTools> = {}) {
  const counted: string[] = []
  const metrics: Metrics = {
    ...noMetrics,
    judged: (outcome, how) => void counted.push(`${outcome} ${how}`),
    policyRestarted: outcome => void counted.push(outcome),
  }
  const host = createPolicyHost(plugins, { schedule, log: silent, metrics, ...tools })
  open.push(host)
  return { host, counted }
}

const schedule: SeatTools['schedule'] = (ms, run) => {
  const timer = setTimeout(run, ms)
  return () => clearTimeout(timer)
}

async function prepared(host: PolicyHost, ...texts: string[]) {
  const result = await host.prepare(texts.map((text, index) => ({ name: `${index}.cedar`, text })))
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.prepared
}

describe('the host', () => {
  test('judges by nothing until a set is installed, and by the next one from then on', async () => {
    const { host } = start()
    const writes = request({ phase: 'execute' })
    expect(host.engine.hash()).toBe('none')
    expect((await host.engine.judge(writes)).outcome).toBe('allow')
    const reads = await prepared(host, READS)
    expect(host.engine.hash()).toBe('none')
    reads.install()
    expect(host.engine.hash()).toBe(reads.hash)
    expect((await host.engine.judge(writes)).outcome).toBe('deny')
    expect((await host.engine.judge(request())).outcome).toBe('allow')

    expect(host.engine.textOf?.('reads')).toEqual({ id: 'reads', place: '0.cedar:1', text: READS })
    expect(host.engine.textOf?.('all')).toBeUndefined()

    const inForce = host.engine.inForce()
    const all = await prepared(host, ALL)
    all.install()
    expect((await host.engine.judge(writes)).outcome).toBe('allow')
    expect((await inForce.judge(writes)).outcome).toBe('deny')
    expect(inForce.hash()).toBe(reads.hash)

    const none = await host.prepare(undefined)
    if (none.ok) none.prepared.install()
    expect(host.engine.hash()).toBe('none')
  })

  test('leaves what is in force as it is where another set is refused or discarded', async () => {
    const { host } = start()
    const all = await prepared(host, ALL)
    all.install()
    const refused = await host.prepare([{ name: 'bad.cedar', text: `${READS}\npermit(principal` }])
    expect(refused).toMatchObject({ ok: false, problems: [{ file: 'bad.cedar', line: 2 }] })
    const bomb = await host.prepare([{ name: 'bomb.cedar', text: `${'('.repeat(10_000)}` }])
    expect(bomb.ok).toBe(false)
    await (await prepared(host, READS)).discard()
    expect((await host.engine.judge(request({ phase: 'execute' }))).outcome).toBe('allow')
  })

  test('remembers what agrees in everything that the set looks at', async () => {
    const { host, counted } = start()
    const set = await prepared(
      host,
      '@id("short") permit(principal, action in Mayfly::Action::"*:*", resource) when { context.ttlSeconds < 1000 };',
    )
    set.install()
    await host.engine.judge(request())
    await host.engine.judge(
      request({ context: { purpose: 'something else', subject: 'other', now: 60_000 } }),
    )
    await host.engine.judge(request({ context: { ttlSeconds: 1_000 } }))
    await host.engine.judge(request({ agent: { name: 'other' } }))
    expect(counted).toEqual(['allow judged', 'allow remembered', 'deny judged', 'allow judged'])
  })

  test('remembers across mints where only what kind they were is looked at', async () => {
    const { host, counted } = start()
    const set = await prepared(
      host,
      '@id("a") permit(principal, action, resource) unless { context.held.phases.agent.contains("deploy") };',
    )
    set.install()
    const held = (agent: readonly Phase[], count: number) => {
      const phases = { lineage: [], agent, owner: agent }
      return request({
        context: { held: { phases, credentials: { lineage: 0, agent: count, owner: count } } },
      })
    }
    await host.engine.judge(held(['read'], 1))
    await host.engine.judge(held(['read'], 2))
    await host.engine.judge(held(['deploy', 'read'], 3))
    expect(counted).toEqual(['allow judged', 'allow remembered', 'deny judged'])
  })

  test('judges nothing after it is stopped', async () => {
    const { host } = start()
    const set = await prepared(host, ALL)
    set.install()
    await host.stop()
    expect(await host.engine.judge(request())).toMatchObject({ outcome: 'deny', failed: true })
  })
})

describe('a thread that fails', () => {
  const worker = new URL('./sick-worker.ts', import.meta.url)
  const purpose = (text: string) => request({ context: { purpose: text } })

  async function sick(tools: Partial<SeatTools> = {}) {
    const directory = await mkdtemp(join(tmpdir(), 'mayfly-policy-'))
    const marker = join(directory, 'broken')
    const { host, counted } = start({ worker, ...tools })
    const result = await host.prepare([{ name: marker, text: '' }])
    if (!result.ok) throw new Error('not prepared')
    result.prepared.install()
    const judge = (one: PolicyRequest) => host.engine.judge(one)
    return { host, counted, judge, marker, end: () => rm(directory, { recursive: true }) }
  }

  test('is a denial of what it was judging, and another takes its place', async () => {
    const { host, counted, judge, end } = await sick()
    expect(await judge(purpose('die'))).toMatchObject({ outcome: 'deny', failed: true })
    expect((await judge(purpose('work'))).outcome).toBe('allow')
    expect(counted).toEqual(['failed judged', 'started', 'allow judged'])
    expect(host.engine.notReady()).toBeUndefined()
    await end()
  })

  test('that hangs is killed at the deadline, with all that waits behind it', async () => {
    // Deadlines pass as soon as the thread has surely begun; everything else is as it is.
    const short: SeatTools['schedule'] = (ms, run) => schedule(ms === LIMITS.policyDecisionMs ? 200 : ms, run)
    const { judge, counted, end } = await sick({ schedule: short })
    const [hangs, waits] = await Promise.all([judge(purpose('hang')), judge(purpose('wait'))])
    expect(hangs).toMatchObject({
      outcome: 'deny',
      failed: true,
      reasons: [expect.stringContaining('in time')],
    })
    expect(waits).toMatchObject({ outcome: 'deny', failed: true })
    await expect.poll(() => counted).toContain('started')
    expect((await judge(purpose('work'))).outcome).toBe('allow')
    await end()
  })

  test('and cannot be replaced: everything is denied, and the broker is not ready', async () => {
    const { host, judge, marker, counted, end } = await sick()
    await writeFile(marker, '')
    expect((await judge(purpose('die'))).outcome).toBe('deny')
    await expect.poll(() => host.engine.notReady()).toMatch(/no thread/)
    expect(await judge(purpose('work'))).toMatchObject({ outcome: 'deny', failed: true })
    await rm(marker)
    await expect.poll(() => host.engine.notReady(), { timeout: 10_000 }).toBeUndefined()
    expect((await judge(purpose('work'))).outcome).toBe('allow')
    expect(counted).toContain('failed')
    await end()
  })

  test('from the start: nothing is prepared', async () => {
    const { host } = start({ worker })
    await expect(host.prepare([{ name: import.meta.filename, text: '' }])).rejects.toThrow(
      'the canary is dead',
    )
  })
})
