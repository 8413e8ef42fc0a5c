import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { Secret } from '../../issuers/shared/secret.ts'
import { checked } from '../../src/cli/broker-url.ts'
import { type Call, createClient } from '../../src/cli/client.ts'
import { BrokerRefusal } from '../../src/cli/refusal.ts'
import { CommandError, EXIT } from '../../src/cli/terminal.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

let close = async () => {}
afterEach(() => close())

/** A broker that gives these answers in turn, and the bodies and waits that were seen. */
async function play(...answers: Answer[]) {
  const bodies: string[] = []
  const waits: number[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    bodies.push(body)
    const answer = answers[Math.min(bodies.length, answers.length) - 1]!
    answer(request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  close = () =>
    new Promise(resolve => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  const terminal = {
    fetch: globalThis.fetch,
    schedule(ms: number, run: () => void) {
      waits.push(ms)
      setImmediate(run)
      return () => {}
    },
  }
  const client = createClient(terminal, `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const call = (whenLost: Call['whenLost'], more: Partial<Call> = {}) =>
    client.call(
      { method: 'POST', path: '/x', body: { a: 1 }, whenLost, ...more },
      z.object({ ok: z.boolean() }),
    )
  return { client, call, bodies, waits }
}

const fine: Answer = (_, response) => void response.end('{"ok":true}')
const lost: Answer = request => void request.socket.destroy()
const problem =
  (status: number, code: string, more: object = {}, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void response
      .writeHead(status, { 'content-type': 'application/problem+json', ...headers })
      .end(JSON.stringify({ title: 'Title', detail: 'what was wrong', code, ...more }))

const refusal = async (run: Promise<unknown>): Promise<CommandError> => {
  const error = await run.then(
    () => new Error('it was not refused'),
    (reason: unknown) => reason,
  )
  if (error instanceof CommandError) return error
  throw error
}

test('a lost answer to a call that may be repeated is asked for again', async () => {
  const { call, bodies } = await play(lost, lost, fine)
  expect(await call('repeat')).toEqual({ ok: true })
  expect(bodies).toEqual(['{"a":1}', '{"a":1}', '{"a":1}'])
})

test('opening a task again waits until the broker takes the same evidence for a retry', async () => {
  const { call, bodies, waits } = await play(lost, fine)
  expect(await call('reopen')).toEqual({ ok: true })
  expect(bodies[1]).toBe(bodies[0])
  expect(waits).toEqual([1_500])
})

test('a lost answer to a mint is told, not asked for again', async () => {
  const { call, bodies } = await play(lost, fine)
  const error = await refusal(call('never'))
  expect(error.exitCode).toBe(EXIT.unavailable)
  expect(error.message).toContain('answer was lost')
  expect(bodies).toHaveLength(1)
})

test('a 503 is waited out as it says, where it says', async () => {
  const { call, waits } = await play(
    problem(503, 'ledger_unavailable', {}, { 'retry-after': '2' }),
    problem(503, 'ledger_unavailable', {}, { 'retry-after': '1' }),
    fine,
  )
  expect(await call('never')).toEqual({ ok: true })
  expect(waits).toEqual([2_000, 1_000])
})

test.each([
  ['without Retry-After', problem(503, 'provider_unavailable')],
  ['with a long one', problem(503, 'ledger_unavailable', {}, { 'retry-after': '3600' })],
  ['of another status', problem(429, 'rate_limited', {}, { 'retry-after': '1' })],
])('a refusal %s is told at once', async (_, answer) => {
  const { call, bodies } = await play(answer, fine)
  expect((await refusal(call('repeat'))).exitCode).toBe(EXIT.unavailable)
  expect(bodies).toHaveLength(1)
})

test('a broker that is not there is asked a few times, and its absence told', async () => {
  const { call, waits } = await play(fine)
  await close()
  const error = await refusal(call('never'))
  expect(error.message).toContain('no broker answers')
  expect(error.message).toContain('MAYFLY_URL')
  expect(error.exitCode).toBe(EXIT.unavailable)
  expect(waits).toEqual([250, 500, 1_000])
})

test('a refusal says what was wrong, where to look it up, and what to do', async () => {
  const { call } = await play(problem(403, 'ask_denied', { decision: 'dec_1' }))
  const error = await refusal(call('never'))
  expect(error).toBeInstanceOf(BrokerRefusal)
  expect(error.exitCode).toBe(EXIT.denied)
  expect(error.message).toMatch(/what was wrong.*ask_denied/)
  expect(error.message).toContain('dec_1')
  expect(error.message).toContain('Ask for less')
})

test('control characters of an answer do not reach the terminal', async () => {
  const { call } = await play(problem(403, 'ask_denied', { detail: '\u001b[2Jgone\u0007' }))
  const { message } = await refusal(call('never'))
  for (const control of ['\u001b', '\u0007']) expect(message).not.toContain(control)
})

test('an answer that is not of the expected form is named by its members, never quoted', async () => {
  const { call } = await play((_, response) => void response.end('{"ok":"mft_secret"}'))
  const error = await refusal(call('never'))
  expect(error.message).toContain('(ok)')
  expect(error.message).not.toContain('mft_secret')
})

test('neither is an answer from something else, nor one without end', async () => {
  const foreign = await play((_, response) => void response.writeHead(502).end('<html>secret</html>'))
  const error = await refusal(foreign.call('never'))
  expect(error.message).toContain('not from a Mayfly broker')
  expect(error.message).not.toContain('secret')
  await close()
  const endless = await play((_, response) => void response.end('x'.repeat(5 * 1024 * 1024)))
  expect((await refusal(endless.call('never'))).exitCode).toBe(EXIT.unavailable)
})

test('a redirect is not followed: the token is for this address only', async () => {
  const { call, bodies } = await play((_, response) => void response.writeHead(307, { location: '/y' }).end())
  await refusal(call('never', { token: new Secret('mft_x') }))
  expect(bodies).toHaveLength(1)
})

test.each([
  'http://mayfly.example.com',
  'http://127.0.0.1.example.com:8480',
  'https://mayfly.example.com/path',
  'https://user:secret@mayfly.example.com',
  'ftp://127.0.0.1',
  'mayfly.example.com',
])('%s is no address for a broker', url => {
  expect(() => checked(url)).toThrow(CommandError)
})

test.each(['http://127.0.0.1:8480', 'http://localhost:1', 'http://[::1]:8480', 'https://mayfly.example.com'])(
  '%s is one',
  url => expect(checked(url)).toBe(url),
)
