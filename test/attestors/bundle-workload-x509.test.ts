import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { AttestationUnavailable } from '../../attestors/attestor.ts'
import { createWorkloadBundles, splitDer } from '../../attestors/shared/workload-bundles.ts'
import { spiffeX509 } from '../../attestors/spiffe-x509.ts'
import { createSpiffeX509Authority, type Svid } from '../fakes/identity/spiffe-x509-authority.ts'
import { startWorkloadApiServer, type WorkloadApiServer } from '../fakes/identity/workload-api-server.ts'
import { createTimers } from '../support/timers.ts'
import { NOON, open } from './issuer-subject.ts'

const DOMAIN = 'acme.test'
const OTHER = 'partner.test'
const now = () => NOON
const timers = createTimers()
const opened: { close?(): void }[] = []
let agent: WorkloadApiServer

beforeAll(async () => {
  agent = await startWorkloadApiServer()
})
afterAll(() => agent.close())
afterEach(async () => {
  for (const one of opened.splice(0)) one.close?.()
  await soon(() => expect(agent.streams()).toBe(0))
  agent.calls.length = 0
})

const soon = (check: () => Promise<void> | void) => vi.waitFor(check, { timeout: 5_000, interval: 2 })

describe('X.509 authorities', () => {
  const der = (...content: number[]) => Uint8Array.from([0x30, content.length, ...content])
  const long = Uint8Array.from([0x30, 0x82, 0x01, 0x00, ...Array(256).fill(7)])
  const source = (trustDomain = DOMAIN) => {
    const { schedule } = timers
    const made = createWorkloadBundles({ socket: agent.socket, trustDomain }, [], {
      now,
      schedule,
      jitter: () => 0,
    })
    opened.push(made)
    return made
  }
  const give = (own: Uint8Array, other = der(9)) =>
    agent.give({ x509Bundles: { [`spiffe://${DOMAIN}`]: own, [`spiffe://${OTHER}`]: other } })

  test('are told apart, per domain, and stay the same array until they change', async () => {
    give(Buffer.concat([der(1), long, der(2, 3)]))
    const [own, other] = [source(), source(OTHER)]
    const authorities = await own.authorities()
    expect(authorities).toEqual([der(1), long, der(2, 3)])
    expect(await other.authorities()).toEqual([der(9)])
    expect(agent.calls).toEqual(['FetchX509Bundles', 'FetchX509Bundles'])
    give(Buffer.concat([der(1), long, der(2, 3)]), der(8))
    await soon(async () => expect(await other.authorities()).toEqual([der(8)]))
    expect(await own.authorities()).toBe(authorities)
    give(Buffer.alloc(0), der(8))
    await soon(async () => expect(await own.authorities()).toEqual([]))
    expect(own.doubt()).toBeUndefined()
  })

  test.each([
    ['cut off', [0x30, 0x05, 1]],
    ['of another tag', [0x31, 0x01, 1]],
    ['of indefinite length', [0x30, 0x80, 0, 0]],
    ['of a length beyond all reason', [0x30, 0x84, 0xff, 0xff, 0xff, 0xff]],
    ['a tag and no more', [0x30]],
    ['too many', Array(300).fill([0x30, 0x00]).flat()],
  ])('%s: those before are used, in doubt', async (_what, bytes) => {
    give(der(1))
    const own = source()
    await own.authorities()
    give(Uint8Array.from(bytes))
    await soon(async () => {
      await own.authorities()
      expect(own.doubt()).toBeInstanceOf(AttestationUnavailable)
    })
    expect(await own.authorities()).toEqual([der(1)])
  })
})

test('whatever bytes come, they are split without a loss, or refused', () => {
  const whole = fc.uint8Array({ maxLength: 300 }).map(content => {
    const { length } = content
    const head =
      length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
    return Buffer.from([0x30, ...head, ...content])
  })
  const wanted = fc.array(whole, { maxLength: 5 }).map(parts => Buffer.concat(parts))
  const bytes = fc.oneof(wanted, fc.uint8Array({ maxLength: 64 }))
  let split = 0
  fc.assert(
    fc.property(bytes, given => {
      try {
        expect(Buffer.concat(splitDer(given)).equals(given)).toBe(true)
        split += 1
      } catch (error) {
        expect((error as Error).message).toBe('the Workload API sent certificates that are none')
      }
    }),
    { numRuns: 2_000 },
  )
  expect(split).toBeGreaterThan(100)
})

test('X.509-SVIDs are judged by the authorities that the agent has now', async () => {
  const authority = await createSpiffeX509Authority({ trustDomain: DOMAIN, now })
  const publishRoots = (...roots: Uint8Array[]) =>
    agent.give({ x509Bundles: { [`spiffe://${DOMAIN}`]: Buffer.concat(roots) } })
  const settings = { trust_domain: DOMAIN, bundle: { workload_api: { socket: agent.socket } } }
  const attestor = open(spiffeX509, settings, { now, schedule: timers.schedule })
  opened.push(attestor)
  const show = ({ chain }: Svid) => attestor.attest({ type: 'certificates', chain })
  publishRoots(authority.root.der)
  const first = await authority.issue('/agent/coder')
  expect(await show(first)).toMatchObject({ ok: true, proof: { subject: 'spiffe://acme.test/agent/coder' } })
  const { der: old } = authority.root
  await authority.rotate()
  const second = await authority.issue('/agent/coder')
  expect(await show(second)).toMatchObject({ rejection: 'chain_not_trusted' })
  publishRoots(old, authority.root.der)
  await soon(async () => expect(await show(second)).toMatchObject({ ok: true }))
  expect(await show(first)).toMatchObject({ ok: true })
  publishRoots(authority.root.der)
  await soon(async () => expect(await show(first)).toMatchObject({ rejection: 'chain_not_trusted' }))
  agent.give({ x509Bundles: { [`spiffe://${OTHER}`]: old } })
  await soon(async () => expect(await show(second)).toMatchObject({ rejection: 'chain_not_trusted' }))
})
