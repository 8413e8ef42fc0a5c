/** `mayfly` with an X.509-SVID for its evidence. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { certifiedFetch } from '../../src/cli/certified-fetch.ts'
import { asks } from '../fakes/installation.ts'
import { type Certified, createCertified } from '../support/certified.ts'
import { runInProcess } from './in-process.ts'

let certified: Certified
const at = (name: string) => join(certified.installation.directory, name)

beforeAll(async () => {
  certified = await createCertified()
  await renew()
})
afterAll(() => certified?.close())

async function renew(path = '/agent/coder') {
  const { cert, key } = await certified.authority.issue(path)
  await writeFile(at('svid.pem'), cert)
  await writeFile(at('svid.key'), key, { mode: 0o600 })
}

async function mayfly(args: readonly string[], more: Record<string, string> = {}) {
  const said = { out: '', err: '' }
  const env = {
    ...{ MAYFLY_URL: certified.broker.mtlsUrl!, HOME: certified.installation.directory },
    ...{ MAYFLY_CLIENT_CERT_FILE: at('svid.pem'), MAYFLY_CLIENT_KEY_FILE: at('svid.key'), ...more },
  }
  const code = await runInProcess(args, {
    ...{ home: certified.installation.directory, env, input: '' },
    out: text => {
      said.out += text
    },
    err: text => {
      said.err += text
    },
    terminal: { fetch: certifiedFetch(env, fetch, certified.ca) },
  })
  return { code, ...said }
}

const open = ['task', 'open', '--purpose', 'writes', '--ask-json', JSON.stringify(asks.orders), '--json']

test('a task is opened and ended by the certificate that a file holds, renewed or not', async () => {
  const opened = await mayfly([...open, '--task-token-file', 'token'])
  expect([opened.code, opened.err]).toEqual([0, ''])
  expect(JSON.parse(opened.out).task.agent).toBe('coder')
  await renew()
  const done = await mayfly(['task', 'complete', '--task-token-file', 'token'])
  expect([done.code, done.err]).toEqual([0, ''])
})

test('evidence that is named comes before it', async () => {
  await writeFile(at('token.jwt'), await certified.installation.jobToken())
  const opened = await mayfly([...open, '--task-token-file', 'other', '--evidence-file', at('token.jwt')])
  expect(JSON.parse(opened.out).task.agent).toBe('release')
})

test('a certificate of nobody is refused as evidence is', async () => {
  await renew('/agent/stranger')
  const refused = await mayfly([...open, '--task-token-file', 'third'])
  expect([refused.code, refused.err]).toEqual([3, expect.stringContaining('agent_unmatched')])
})

test('a certificate without its key is a mistake', async () => {
  const refused = await mayfly([...open, '--task-token-file', 'fourth'], { MAYFLY_CLIENT_KEY_FILE: '' })
  expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('MAYFLY_CLIENT_KEY_FILE')])
})

test('it is shown to the broker alone', async () => {
  const asked: string[] = []
  const otherwise = (async (url: string) => {
    asked.push(url)
    return new Response()
  }) as typeof fetch
  const env = {
    ...{ MAYFLY_URL: certified.broker.mtlsUrl!, MAYFLY_CLIENT_CERT_FILE: at('svid.pem') },
    MAYFLY_CLIENT_KEY_FILE: at('svid.key'),
  }
  await certifiedFetch(env, otherwise, certified.ca)('https://idp.acme.test/token')
  expect(asked).toEqual(['https://idp.acme.test/token'])
  expect((await certifiedFetch(env, otherwise, certified.ca)(`${env.MAYFLY_URL}/livez`)).status).toBe(200)
})
