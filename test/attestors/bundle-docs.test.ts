/** What docs/attestors/spiffe-jwt.md says is what the settings take. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { FEDERATION_TIMES } from '../../attestors/shared/bundle-federation.ts'
import { BUNDLE_TIMES } from '../../attestors/shared/spiffe-bundle-file.ts'
import { WORKLOAD_API_LIMITS } from '../../attestors/shared/workload-api.ts'
import { FEED_TIMES } from '../../attestors/shared/workload-feed.ts'
import { spiffeJwt } from '../../attestors/spiffe-jwt.ts'
import { listenShape } from '../../src/config/listen.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/attestors/spiffe-jwt.md'), 'utf8')
const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => parse(text))

test('every configuration on the page is taken', () => {
  const attestors = blocks.flatMap(({ attestors = {} }) => Object.values<{ type: string }>(attestors))
  expect(attestors).toHaveLength(4)
  for (const { type, ...settings } of attestors) {
    expect(type).toBe('spiffe-jwt')
    expect(spiffeJwt.settings.safeParse(settings).error).toBeUndefined()
  }
  const [{ listen }] = blocks.filter(block => 'listen' in block)
  expect(listenShape.safeParse(listen).error).toBeUndefined()
})

test('every setting is on the page', () => {
  const minimal = { trust_domain: 'example.org', audience: 'a', bundle_file: 'b' }
  for (const key of Object.keys(spiffeJwt.settings.parse(minimal) as object))
    expect(page).toContain(`\`${key}`)
})

test('the times that it names are the ones that hold', () => {
  const minute = 60_000
  expect(BUNDLE_TIMES).toEqual({ checkMs: 5_000, maxStaleMs: 60 * minute })
  expect(FEED_TIMES.maxStaleMs).toBe(60 * minute)
  expect(FEDERATION_TIMES).toMatchObject({
    ...{ refreshMs: 300_000, leastRefreshMs: 30_000, mostRefreshMs: 60 * minute },
    maxStaleMs: 6 * 60 * minute,
  })
  expect(WORKLOAD_API_LIMITS).toMatchObject({
    retryBaseMs: 1_000,
    retryCapMs: 30_000,
    messageBytes: 4 * 1024 ** 2,
  })
})
