/** What is sent again, after what wait, and what is told instead. test/cli/client.test.ts has the same over a socket. */
import { describe, expect, test } from 'vitest'
import { isDenied, isPending, isUnavailable, MayflyError } from '../../src/client/mayfly-error.ts'
import { type Call, request } from '../../src/client/transport.ts'

type Reply = Response | Error | (() => Promise<Response>)

/** A network that gives these in turn, and what was sent over it. */
function network(...replies: Reply[]) {
  const sent: string[] = []
  const waits: number[] = []
  const world = {
    async fetch(_: unknown, init?: RequestInit) {
      sent.push(String(init?.body))
      const reply = replies[Math.min(sent.length, replies.length) - 1]!
      if (reply instanceof Error) throw reply
      return reply instanceof Response ? reply.clone() : reply()
    },
    schedule(ms: number, run: () => void) {
      waits.push(ms)
      setImmediate(run)
      return () => {}
    },
  }
  const call = (whenLost: Call['whenLost'], more: Partial<Call> = {}) =>
    request(world, 'https://broker.test', { method: 'POST', path: '/x', body: 1, whenLost, ...more })
  return { call, sent, waits }
}

const fine = Response.json({ ok: true })
const lost = new TypeError('fetch failed', { cause: Object.assign(new Error(), { code: 'ECONNRESET' }) })
const refusal = (status: number, code: string, retryAfter?: number, more: object = {}) =>
  Response.json(
    { title: 'T', detail: 'd', code, ...more },
    { status, headers: retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) } },
  )
const errorOf = (work: Promise<unknown>): Promise<MayflyError> =>
  work.then(
    () => Promise.reject(new Error('it was not refused')),
    error => error,
  )

describe('a lost answer', () => {
  test.each([
    ['repeat', 4, [250, 500, 1_000]],
    ['reopen', 4, [1_500, 1_500, 1_500]],
    ['never', 1, []],
  ] as const)('%s: sent %i times', async (whenLost, times, expected) => {
    const { call, sent, waits } = network(lost)
    const error = await errorOf(call(whenLost))
    expect([sent.length, waits]).toEqual([times, expected])
    expect(error).toMatchObject({ code: 'answer_lost', retryable: whenLost !== 'never', status: undefined })
    expect(isUnavailable(error)).toBe(true)
  })

  test.each([
    ['Node', new TypeError('fetch failed', { cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }) })],
    ['Bun', Object.assign(new TypeError('Unable to connect.'), { code: 'ECONNREFUSED' })],
    ['an older Bun', Object.assign(new Error('Unable to connect.'), { code: 'ConnectionRefused' })],
    [
      'Deno',
      new TypeError('fetch failed', {
        cause: new Error(
          'error sending request for url (http://127.0.0.1:1/x): client error (Connect): ' +
            'tcp connect error: Connection refused (os error 111)',
        ),
      }),
    ],
  ])('nothing was sent, as %s says it: sent again whatever it is', async (_, refused) => {
    const { call, waits } = network(refused, refused, fine)
    expect(await call('never')).toEqual({ ok: true })
    expect(waits).toEqual([250, 500])
    expect(await errorOf(network(refused).call('never'))).toMatchObject({
      code: 'unreachable',
      retryable: true,
    })
  })
})

describe('Retry-After', () => {
  test.each([
    ['never', 2, 2_000],
    ['reopen', 1, 1_500],
    ['repeat', 0, 0],
  ] as const)('%s after %i s', async (whenLost, seconds, wait) => {
    const { call, waits } = network(refusal(503, 'ledger_unavailable', seconds), fine)
    expect(await call(whenLost)).toEqual({ ok: true })
    expect(waits).toEqual([wait])
  })

  test.each([
    ['without one', refusal(503, 'ledger_unavailable')],
    ['too long', refusal(503, 'ledger_unavailable', 11)],
    ['not of a 503', refusal(429, 'budget_exhausted', 1)],
    [
      'a date',
      new Response(null, { status: 503, headers: { 'retry-after': 'Sun, 22 Nov 2026 05:00:00 GMT' } }),
    ],
  ])('%s: told at once', async (_, reply) => {
    const { call, sent } = network(reply, fine)
    expect(isUnavailable(await errorOf(call('repeat')))).toBe(true)
    expect(sent).toHaveLength(1)
  })
})

describe('a signal', () => {
  const reason = new Error('enough')

  test('ends a wait, with its own reason', async () => {
    const giving = new AbortController()
    const { call, sent } = network(async () => {
      giving.abort(reason)
      throw lost
    })
    expect(await errorOf(call('repeat', { signal: giving.signal }))).toBe(reason)
    expect(sent).toHaveLength(1)
    expect(await errorOf(call('repeat', { signal: giving.signal }))).toBe(reason)
    expect(sent).toHaveLength(1)
  })

  test('what is unwanted is tried again only where something may be left behind', async () => {
    const giving = new AbortController()
    giving.abort(reason)
    const refused = Object.assign(new Error(), { code: 'ECONNREFUSED' })
    expect(await errorOf(network(refused, fine).call('reopen', { unwanted: giving.signal }))).toBe(reason)
    const left = network(lost, fine)
    expect(await left.call('reopen', { unwanted: giving.signal })).toEqual({ ok: true })
  })
})

describe('what is told', () => {
  test.each([
    [401, 'evidence_rejected', [true, false, false], false],
    [403, 'ask_denied', [true, false, false], false],
    [409, 'approval_pending', [false, true, false], true],
    [409, 'approval_over', [true, false, false], false],
    [409, 'task_not_active', [false, false, false], false],
    [429, 'rate_limited', [false, false, true], true],
    [502, 'provider_answered_wider', [false, false, true], false],
    [503, 'policy_unavailable', [false, false, true], true],
  ])('%i %s', async (status, code, kinds, retryable) => {
    const error = await errorOf(network(refusal(status, code)).call('never'))
    expect([isDenied(error), isPending(error), isUnavailable(error)]).toEqual(kinds)
    expect(error).toMatchObject({ status, code, retryable })
  })

  test('texts from outside are bounded and drive no terminal; a member of every object is no advice', async () => {
    const detail = `\u001b[2J${'x'.repeat(2_000)}`
    const error = await errorOf(network(refusal(403, 'toString', undefined, { detail })).call('never'))
    expect(error.message.length).toBeLessThan(600)
    for (const one of ['\u001b', 'native code']) expect(error.message).not.toContain(one)
  })

  test('an answer of something else is not quoted', async () => {
    const foreign = new Response('<html>mft_secret</html>', { status: 418 })
    const error = await errorOf(network(foreign).call('never'))
    expect(error).toMatchObject({ code: 'foreign', status: 418 })
    expect(error.message).not.toContain('mft_')
    expect(error).toBeInstanceOf(MayflyError)
    expect(await errorOf(network(Response.json(null, { status: 400 })).call('never'))).toMatchObject({
      code: 'foreign',
    })
  })
})
