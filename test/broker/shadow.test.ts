import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Log } from '../../src/broker/broker.ts'
import { createShadow, type Shadow } from '../../src/broker/decisions/shadow.ts'
import { LIMITS } from '../../src/limits.ts'
import type { PolicyEngine, PolicyRequest, PolicyVerdict } from '../../src/policy/facts.ts'
import { LedgerUnavailable } from '../../src/store/ledger.ts'
import type { StoreSubject } from '../conformance/store/subject.ts'
import { silent } from '../fakes/installation.ts'
import { request } from '../policy/cedar/facts.ts'
import { openSqliteSubject } from '../store/open.ts'

let store: StoreSubject
/** What was scheduled and not yet run. */
let timers: (() => void)[]
let shadow: Shadow
let warned: string[]

beforeEach(async () => {
  store = await openSqliteSubject()
  timers = []
  warned = []
  shadow = open()
})
afterEach(async () => {
  await shadow.stop()
  await store.close()
})

function open(limits: Partial<Record<keyof typeof LIMITS, number>> = {}, ledger = store.ledger): Shadow {
  const log: Log = { ...silent, warn: (_, message) => void warned.push(message) }
  return createShadow({ ledger, log, limits: { ...LIMITS, ...limits } }, (_, run) => {
    timers.push(run)
    return () => {
      timers = timers.filter(one => one !== run)
    }
  })
}

const verdict = (outcome: PolicyVerdict['outcome'], ...determining: string[]): PolicyVerdict => ({
  ...{ outcome, determining, reasons: [], nearest: [] },
  requires:
    outcome === 'needs_approval' ? [{ policy: 'w', quorum: 2, groups: ['leads'], ownerMay: false }] : [],
})
const engine = (judge: (asked: PolicyRequest) => PolicyVerdict, hash = 'candidate'): PolicyEngine => ({
  hash: () => hash,
  needs: () => ({ held: [], digest: false }),
  judge: async asked => judge(asked),
})
const seen = (live: PolicyVerdict, decision = 'dec_1', asked = request()) => ({
  ...{ request: asked, declared: undefined, verdict: live, hash: 'live', decision },
})
const differences = async (hash = 'candidate') =>
  (await store.ledger.read.shadowDifferences(hash, { limit: 100 })).items

describe('differences', () => {
  test('are counted by kind, with the first decision of each as its example', async () => {
    shadow.use(engine(({ phase }) => (phase === 'read' ? verdict('deny') : verdict('allow', 'other-name'))))
    shadow.observe(seen(verdict('allow', 'reads'), 'dec_1'))
    shadow.observe(seen(verdict('allow', 'reads'), 'dec_2'))
    shadow.observe(seen(verdict('allow', 'writes'), 'dec_3', request({ phase: 'execute' })))
    await shadow.idle()
    const rows = await differences()
    expect(rows).toHaveLength(1)
    expect(rows[0]).toMatchObject({
      ...{ live: 'allow', shadow: 'deny', live_by: '["reads"]', shadow_by: '[]', times: 2 },
      ...{
        agent: 'shop-triage',
        issuer: 'github-app',
        phase: 'read',
        example: expect.stringMatching(/^dec_/),
      },
      ...{ live_hash: 'live', shadow_hash: 'candidate' },
    })
    expect(shadow.status()).toEqual({
      ...{ hash: 'candidate', problem: null, judged: 3, differing: 2, dropped: 0, failed: 0 },
    })
  })

  test('are other demands of humans, too', async () => {
    const three = {
      ...verdict('needs_approval'),
      requires: [{ policy: 'x', quorum: 3, groups: [], ownerMay: false }],
    }
    shadow.use(engine(() => three))
    shadow.observe(seen(verdict('needs_approval')))
    shadow.observe(seen(three))
    await shadow.idle()
    expect(shadow.status()).toMatchObject({ judged: 2, differing: 1 })
  })
})

describe('nothing of it reaches an answer', () => {
  test('observing judges nothing: that is for later', async () => {
    let judged = 0
    shadow.use(
      engine(() => {
        judged += 1
        return verdict('allow')
      }),
    )
    shadow.observe(seen(verdict('allow')))
    expect([judged, timers.length]).toEqual([0, 1])
    await shadow.idle()
    expect(judged).toBe(1)
  })

  test('a candidate that throws or fails is counted', async () => {
    shadow.use(engine(() => ({ ...verdict('deny'), failed: true })))
    shadow.observe(seen(verdict('allow')))
    await shadow.idle()
    shadow.use(
      engine(() => {
        throw new Error('broken')
      }, 'another'),
    )
    shadow.observe(seen(verdict('allow')))
    await shadow.idle()
    expect(shadow.status()).toMatchObject({ hash: 'another', judged: 0, differing: 0, failed: 1 })
    expect(await differences()).toEqual([])
  })

  test('a ledger that takes nothing is logged', async () => {
    const down = { ...store.ledger, write: () => Promise.reject(new LedgerUnavailable('down')) }
    shadow = open({}, down)
    shadow.use(engine(() => verdict('deny')))
    shadow.observe(seen(verdict('allow')))
    await shadow.idle()
    expect(warned).toHaveLength(1)
  })

  test('what has no room is dropped, and counted', async () => {
    shadow = open({ shadowWaiting: 3, shadowBatch: 2 })
    shadow.use(engine(() => verdict('allow')))
    for (let n = 0; n < 5; n += 1) shadow.observe(seen(verdict('allow')))
    await shadow.idle()
    expect(shadow.status()).toMatchObject({ judged: 3, dropped: 2 })
  })

  test('kinds beyond the bound are not kept', async () => {
    shadow = open({ shadowKinds: 2 })
    shadow.use(engine(() => verdict('deny')))
    for (const name of ['a', 'b', 'c'])
      shadow.observe(seen(verdict('allow'), 'dec', request({ agent: { name } })))
    await shadow.idle()
    expect(await differences()).toHaveLength(2)
  })

  test('without a candidate, after one was taken away, and once it is stopped, nothing is kept', async () => {
    shadow.observe(seen(verdict('allow')))
    shadow.use(engine(() => verdict('deny')))
    shadow.observe(seen(verdict('allow')))
    shadow.use(undefined, 'main.cedar:3: expected a policy')
    await shadow.idle()
    expect(shadow.status()).toMatchObject({
      hash: null,
      problem: 'main.cedar:3: expected a policy',
      judged: 0,
    })
    shadow.use(engine(() => verdict('deny')))
    shadow.observe(seen(verdict('allow')))
    await shadow.stop()
    expect(timers).toEqual([])
    expect(await differences()).toEqual([])
  })
})
