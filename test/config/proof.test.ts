import { describe, expect, test } from 'vitest'
import { loadSettings } from '../../src/config.ts'
import { types } from './fake-types.ts'
import { memoryFiles } from './memory-files.ts'
import { places, problemsOf } from './refused.ts'

const load = (...more: string[]) => {
  const text = `listen: { host: 127.0.0.1, port: 8480 }
public_url: http://127.0.0.1:8480
ledger: { type: sqlite, path: mayfly.db }
kek_file: kek
attestors: {}
issuers: {}
${more.map(line => `${line}\n`).join('')}`
  return loadSettings('conf/mayfly.yaml', memoryFiles({ 'conf/mayfly.yaml': text }), types)
}

describe('webhooks', () => {
  test('have a name, an https URL and a secret in a file', async () => {
    const { settings } = await load(
      ...['webhooks:', '  rollback:', '    url: https://ci.example.com/hook?x=1', '    secret_file: hook'],
    )
    expect(settings.webhooks).toEqual({
      rollback: { url: 'https://ci.example.com/hook?x=1', secret_file: 'conf/hook', format: 'standard' },
    })
    expect((await load()).settings.webhooks).toEqual({})
  })

  test.each([
    ['{ url: http://ci.example.com, secret_file: f }', 'webhooks.w.url'],
    ['{ url: ftp://ci.example.com, secret_file: f }', 'webhooks.w.url'],
    ['{ url: https://me:s3cr3t@ci.example.com, secret_file: f }', 'webhooks.w.url'],
    ['{ url: ci.example.com, secret_file: f }', 'webhooks.w.url'],
    ['{ url: https://ci.example.com }', 'webhooks.w.secret_file'],
    ['{ url: https://ci.example.com, secret: s3cr3t, secret_file: f }', 'webhooks.w.secret'],
  ])('%s is refused, without repeating it', async (webhook, key) => {
    const problems = await problemsOf(load(`webhooks: { w: ${webhook} }`))
    expect(places(problems).join()).toContain(key)
    expect(JSON.stringify(problems)).not.toContain('s3cr3t')
  })

  test('on this machine may be plain http', async () => {
    await load('webhooks: { w: { url: "http://127.0.0.1:9000/x", secret_file: f } }')
  })
})

describe('drills', () => {
  test('run daily unless told otherwise', async () => {
    const { settings } = await load('drills: { a: { ask: { x: 1 } }, b: { ask: {}, daily: false } }')
    expect(settings.drills).toEqual({ a: { ask: { x: 1 }, daily: true }, b: { ask: {}, daily: false } })
  })

  test.each([
    ['{ a: {} }', 'drills.a.ask'],
    ['{ a: { ask: {}, through: "http://example.com" } }', 'drills.a.through'],
    ['{ a: { ask: {}, weekly: true } }', 'drills.a.weekly'],
    ['{ A: { ask: {} } }', 'drills.A'],
  ])('%s is refused', async (drills, key) => {
    expect(places(await problemsOf(load(`drills: ${drills}`))).join()).toContain(key)
  })
})
