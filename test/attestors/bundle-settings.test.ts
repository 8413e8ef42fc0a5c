import { describe, expect, test } from 'vitest'
import { spiffeJwt } from '../../attestors/spiffe-jwt.ts'
import { AUDIENCE } from './issuer-subject.ts'

const DOMAIN = 'acme.test'

describe('settings', () => {
  const good = { trust_domain: DOMAIN, audience: AUDIENCE }
  const fits = (settings: object) => spiffeJwt.settings.safeParse({ ...good, ...settings }).success
  test.each([
    ['both', { bundle_file: 'a', bundle: { file: 'b' } }],
    ['no source', { bundle: {} }],
    ['two sources', { bundle: { file: 'a', workload_api: {} } }],
    ['a relative socket', { bundle: { workload_api: { socket: 'agent.sock' } } }],
    ['a socket longer than a socket can be', { bundle: { workload_api: { socket: `/${'a'.repeat(107)}` } } }],
    ['http', { bundle: { https_web: { url: 'http://acme.test/bundle' } } }],
    ['an address with a user name', { bundle: { https_web: { url: 'https://me@acme.test/' } } }],
    ['https_spiffe', { bundle: { https_spiffe: { url: 'https://acme.test/' } } }],
    ['a refresh of nothing', { bundle: { https_web: { url: 'https://acme.test/', refresh_seconds: 0 } } }],
  ])('%s is refused', (_what, settings) => {
    expect(fits(settings)).toBe(false)
  })

  test.each([
    ['a file', { bundle: { file: 'bundle.json' } }],
    ['an endpoint', { bundle: { https_web: { url: 'https://acme.test/bundle?v=1', refresh_seconds: 60 } } }],
    ['a socket', { bundle: { workload_api: { socket: '/run/spire/agent.sock' } } }],
  ])('%s is a bundle', (_what, settings) => {
    expect(fits(settings)).toBe(true)
  })

  test('a team’s attestor does not speak with the agent of the broker', () => {
    const uses = (bundle: object) => spiffeJwt.usesHost?.(spiffeJwt.settings.parse({ ...good, bundle }))
    expect(uses({ workload_api: {} })).toContain('Workload API')
    expect(uses({ https_web: { url: 'https://acme.test/' } })).toBeUndefined()
  })
})
