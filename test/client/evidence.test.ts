import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EvidenceWanted, fromFile, fromGithubActions } from '../../src/client/evidence.ts'
import { createMayfly } from '../../src/client/mayfly.ts'
import { MayflyError } from '../../src/client/mayfly-error.ts'
import { type ActionsRunner, REQUEST_TOKEN, startActionsRunner } from '../cli/actions-runner.ts'

let runner: ActionsRunner
beforeAll(async () => {
  runner = await startActionsRunner(async () => 'a.b.c')
})
afterAll(() => runner.close())

const waits: number[] = []
const wanted: EvidenceWanted = {
  broker: 'https://mayfly.test',
  fetch: (input, init) => globalThis.fetch(input, init),
  now: () => 0,
  schedule(ms, run) {
    waits.push(ms)
    setImmediate(run)
    return () => {}
  },
}
const codeOf = async (run: () => unknown): Promise<string> => {
  try {
    await run()
  } catch (error) {
    expect(error).toBeInstanceOf(MayflyError)
    expect(String(error)).not.toContain(REQUEST_TOKEN)
    return (error as MayflyError).code
  }
  throw new Error('it was not refused')
}

test('a job asks its runner, for the audience that is set or for the broker; an outage is waited out', async () => {
  runner.failures = 2
  expect(await fromGithubActions(runner.env)(wanted)).toBe('a.b.c')
  await fromGithubActions({ ...runner.env, MAYFLY_AUDIENCE: 'of-the-job' })(wanted)
  await fromGithubActions(runner.env, { audience: 'mine' })(wanted)
  expect([runner.audiences, waits]).toEqual([
    ['https://mayfly.test', 'of-the-job', 'mine'],
    [500, 1_000],
  ])
})

test('what cannot be had is told, and what was given is not', async () => {
  expect(await codeOf(() => fromGithubActions({})(wanted))).toBe('evidence_missing')
  const wrong = { ...runner.env, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'x' }
  expect(await codeOf(() => fromGithubActions(wrong)(wanted))).toBe('evidence_unavailable')
  const open = { ...runner.env, ACTIONS_ID_TOKEN_REQUEST_URL: 'http://runner.example.com/' }
  expect(await codeOf(() => fromGithubActions(open)(wanted))).toBe('evidence_unreadable')
  const gone = fromFile('/svid', () => Promise.reject(new Error(REQUEST_TOKEN)))
  expect(await codeOf(() => gone(wanted))).toBe('evidence_unreadable')
  const signal = AbortSignal.abort(new Error('enough'))
  await expect(fromGithubActions(runner.env)({ ...wanted, signal })).rejects.toThrow('enough')
})

test('a file is read anew each time', async () => {
  let reads = 0
  const source = fromFile('/svid', async path => `${path} ${++reads}`)
  expect([await source(wanted), await source(wanted)]).toEqual(['/svid 1', '/svid 2'])
})

test.each([
  'http://mayfly.example.com',
  'https://mayfly.example.com/path',
  'https://a:b@mayfly.example.com',
  'x',
])('%s is no address for a broker', url =>
  expect(codeOf(() => createMayfly({ url, evidence: () => '' }))).resolves.toBe('url_invalid'),
)
