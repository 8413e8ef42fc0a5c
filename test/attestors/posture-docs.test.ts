/** The configurations, policies and claims of the pages on posture are what there is. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import { loadConfig } from '../../src/config.ts'
import { compilePolicies } from '../../src/policy/cedar/compile.ts'
import { vocabularyOf } from '../../src/policy/cedar/vocabulary.ts'
import { NOON, open } from './issuer-subject.ts'

const folder = join(import.meta.dirname, '../../docs')
const PAGES = ['posture', 'attestors/signed-statement', 'attestors/slsa-provenance'].map(name => {
  const text = readFileSync(join(folder, `${name}.md`), 'utf8')
  const yaml = new Map(
    [...text.matchAll(/```yaml\n# (\S+)\n([\s\S]*?)```/g)].map(([, file = '', block = '']) => [
      file,
      parse(block),
    ]),
  )
  const cedar = [...text.matchAll(/```cedar\n([\s\S]*?)```/g)].map(([, block = '']) => block)
  return { name, text, cedar, settings: yaml.get('mayfly.yaml'), agent: yaml.get('agents/coder.yaml') }
})

const ORDERS = {
  type: 'signed-jwt',
  audiences: [{ audience: 'https://orders.example.com', scopes: ['read'] }],
}

const AGENT = {
  ...{ name: 'coder', purpose: 'Writes code', risk_tier: 'high', expires_at: '2040-01-01T00:00:00Z' },
  owner: { business: 'product@example.com', technical: 'platform@example.com' },
  ...{ systems: ['api'], ceiling: { jwt: [{}] } },
  limits: { task_minutes: 60, active_tasks: 10, credentials_per_hour: 100 },
}

describe.each(PAGES)('docs/$name', ({ text, settings, agent, cedar, name }) => {
  function load() {
    const { policies_dir: _, ...own } = settings
    const whole = {
      ...{ listen: { host: '127.0.0.1', port: 1 }, public_url: 'http://127.0.0.1:1', kek_file: 'kek' },
      ...{ ledger: { type: 'sqlite', path: 'x' }, agents_dir: 'agents', resource_servers_dir: 'none' },
      ...{ issuers: { jwt: ORDERS }, ...own },
    }
    const files = {
      readFile: async (path: string) =>
        stringify(path.endsWith('mayfly.yaml') ? whole : { ...AGENT, ...agent }),
      listDir: async (path: string) => (path.endsWith('agents') ? ['coder.yaml'] : []),
    }
    return loadConfig('mayfly.yaml', files, {
      ...{ attestorTypes, issuerTypes },
      openIssuers: () => new Map([['jwt', { ask: z.strictObject({}) }]]),
    })
  }

  test('its configuration is what the broker takes, rules and all', async () => {
    expect((await load()).agents).toHaveLength(1)
  })

  test('its policies fit what is configured', async () => {
    const opened = new Map(
      Object.entries((await load()).settings.attestors).map(([attestor, { type, declared }]) => [
        attestor,
        open(attestorTypes.find(one => one.type === type)!, declared, { now: () => NOON }),
      ]),
    )
    const files = cedar.map((block, index) => ({ name: `${index}.cedar`, text: block }))
    if (files.length > 0)
      expect(
        compilePolicies(files, vocabularyOf(opened, new Map([['jwt', { resourceTypes: { Audience: [] } }]]))),
      ).toMatchObject({ ok: true })
  })

  test('every setting and every claim of its type is on it', async () => {
    const type = name.split('/')[1]
    for (const instance of Object.values((await load()).settings.attestors)) {
      if (instance.type !== type) continue
      for (const key of Object.keys(instance.settings as object)) expect(text).toContain(`\`${key}\``)
      for (const claim of Object.keys(instance.rules?.claimTypes ?? {})) expect(text).toContain(claim)
    }
  })
})
