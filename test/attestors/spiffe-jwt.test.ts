import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { AttestationUnavailable } from '../../attestors/attestor.ts'
import { BUNDLE_TIMES } from '../../attestors/shared/spiffe-bundle-file.ts'
import { spiffeJwt } from '../../attestors/spiffe-jwt.ts'
import { describeAttestor } from '../conformance/attestor.ts'
import { createSpiffeAuthority, type SvidRequest } from '../fakes/identity/spiffe-authority.ts'
import { AUDIENCE, jwt, NOON, open } from './issuer-subject.ts'
import { createSvidSubject } from './svid-subject.ts'

const TRUST_DOMAIN = 'acme.test'
const WORKLOAD = `spiffe://${TRUST_DOMAIN}/agent/coder`

/** A trust domain, its bundle in a file that can be changed, and an attestor of it. */
function createDomain(settings: Record<string, unknown> = {}) {
  const clock = { ms: NOON }
  const now = () => clock.ms
  const authority = createSpiffeAuthority({ trustDomain: TRUST_DOMAIN, now, audience: AUDIENCE })
  const file = { read: () => authority.bundle(), reads: 0 }
  const readFile = async () => {
    file.reads += 1
    return file.read()
  }
  const all = { trust_domain: TRUST_DOMAIN, audience: AUDIENCE, bundle_file: 'bundle.json', ...settings }
  const attestor = open(spiffeJwt, all, { now, readFile })
  const attest = (request: Partial<SvidRequest> = {}) =>
    attestor.attest(jwt(authority.mintSvid({ sub: WORKLOAD, ...request })))
  return { clock, authority, file, attest, now, all }
}

describeAttestor('spiffe-jwt', () =>
  createSvidSubject(async bundle => {
    let reads = 0
    const readFile = async (path: string) => {
      reads += 1
      if (path !== 'bundle.json') throw new Error('ENOENT: no such file')
      return bundle()
    }
    return {
      ...{ settings: { bundle_file: 'bundle.json' }, unreachable: { bundle: { file: 'gone.json' } } },
      ...{ deps: { readFile }, calls: () => reads, close: async () => {} },
    }
  }),
)

test('an SVID is proven, and counts as often as it is shown', async () => {
  expect(await createDomain().attest()).toMatchObject({
    ok: true,
    proof: {
      issuer: 'spiffe://acme.test',
      subject: WORKLOAD,
      claims: { trust_domain: TRUST_DOMAIN, path: '/agent/coder' },
      replay: { singleUse: false },
    },
  })
  const once = await createDomain({ single_use: true }).attest()
  expect(once).toMatchObject({ ok: true, proof: { replay: { singleUse: true } } })
})

test('iat is not part of the standard: without it the time left is capped', async () => {
  const { attest } = createDomain()
  expect(await attest({ claims: { iat: undefined } })).toMatchObject({ ok: true })
  const verdict = await attest({ ttlS: 3601, claims: { iat: undefined } })
  expect(verdict).toMatchObject({ rejection: 'lifetime_too_long' })
})

describe('subjects', () => {
  test.each([
    ...['spiffe://acme.test', 'spiffe://acme.test/', 'spiffe://acme.test/a/', 'spiffe://acme.test//a'],
    ...[
      'spiffe://acme.test/a/../b',
      'spiffe://acme.test/./a',
      'spiffe://acme.test/a%2fb',
      'Spiffe://acme.test/a',
    ],
    ...[
      'spiffe://acme.test:443/a',
      'spiffe://me@acme.test/a',
      'spiffe://ACME.test/a',
      'spiffe://acme.test/a?b',
    ],
    ...[
      'spiffe://acme.test/a#b',
      'spiffe:///a',
      'https://acme.test/a',
      'spiffe://acme.test/ä',
      'agent/coder',
    ],
  ])('%s is no workload', async sub => {
    expect(await createDomain().attest({ sub: sub.replace(/^\//, '') })).toMatchObject({
      rejection: 'subject_not_acceptable',
    })
  })

  test.each([42, null, ['spiffe://acme.test/a'], '', 'spiffe://acme.test/\u0000'])(
    '%j is malformed',
    async sub => {
      expect(await createDomain().attest({ sub })).toMatchObject({ rejection: 'claim_malformed' })
    },
  )

  test.each(['acme.test.evil.test', 'acme.tes', 'xacme.test', 'acme-test'])(
    '%s is another domain',
    async domain => {
      const { attest, file } = createDomain()
      const verdict = await attest({ sub: `spiffe://${domain}/a` })
      expect(verdict).toMatchObject({ rejection: 'issuer_not_trusted' })
      expect(file.reads).toBe(0)
    },
  )
})

describe('the bundle', () => {
  test('is read again when it is due, and new keys count', async () => {
    const { attest, authority, clock, file } = createDomain()
    await attest()
    authority.rotate()
    expect(await attest()).toMatchObject({ rejection: 'key_unknown' })
    expect(file.reads).toBe(1)
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest()).toMatchObject({ ok: true })
    expect(file.reads).toBe(2)
  })

  test('on a real disk: replaced by renaming, found by its content', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mayfly-bundle-'))
    const file = join(folder, 'bundle.json')
    const { authority, clock, now, all } = createDomain()
    const write = async () => {
      await writeFile(`${file}.new`, authority.bundle())
      await rename(`${file}.new`, file)
    }
    const attestor = open(
      spiffeJwt,
      { ...all, bundle_file: file },
      { now, readFile: path => readFile(path, 'utf8') },
    )
    const attest = () => attestor.attest(jwt(authority.mintSvid({ sub: WORKLOAD })))
    await expect(attest()).rejects.toThrow(AttestationUnavailable)
    await write()
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest()).toMatchObject({ ok: true })
    authority.rotate({ keepOld: false })
    await write()
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest()).toMatchObject({ ok: true })
    await rm(folder, { recursive: true })
  })

  test('without keys revokes every SVID', async () => {
    const { attest, authority, clock } = createDomain()
    expect(await attest()).toMatchObject({ ok: true })
    authority.revokeAll()
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest()).toMatchObject({ rejection: 'key_unknown' })
  })

  test('does not go back, in 64-bit sequence numbers', async () => {
    const { attest, authority, clock, file } = createDomain()
    const numbered = (sequence: string) =>
      authority.bundle().replace(/"spiffe_sequence":\d+/, `"spiffe_sequence":${sequence}`)
    file.read = () => numbered('9007199254740993')
    expect(await attest()).toMatchObject({ ok: true })
    authority.rotate({ keepOld: false })
    // One less; read as a double both numbers are the same.
    file.read = () => numbered('9007199254740992')
    clock.ms += BUNDLE_TIMES.checkMs
    await expect(attest()).rejects.toThrow('spiffe_sequence went back')
    file.read = () => numbered('9007199254740994')
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest()).toMatchObject({ ok: true })
  })

  test.each([
    ['gone', () => Promise.reject(new Error('ENOENT')) as never],
    ['half written', () => '{"keys":[{"kty"'],
    ['of duplicate members', () => '{"keys":[],"keys":[]}'],
    ['without keys member', () => '{"spiffe_sequence":9}'],
    ['numbered by text', () => '{"keys":[],"spiffe_sequence":"9"}'],
    ['numbered below zero', () => '{"keys":[],"spiffe_sequence":-1}'],
    ['numbered over 64 bits', () => '{"keys":[],"spiffe_sequence":18446744073709551616}'],
    ['no longer numbered', () => '{"keys":[]}'],
    ['too large', () => `{"keys":[]}${' '.repeat(1024 * 1024)}`],
  ])('while the file is %s the last good one is used, for an hour', async (_what, read) => {
    const { attest, authority, clock, file } = createDomain()
    await attest()
    file.read = read
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest()).toMatchObject({ ok: true })
    const stranger = { header: { kid: 'a key of nobody' } }
    await expect(attest(stranger)).rejects.toThrow(AttestationUnavailable)
    clock.ms += BUNDLE_TIMES.maxStaleMs
    await expect(attest()).rejects.toThrow(AttestationUnavailable)
    file.read = () => authority.bundle()
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest(stranger)).toMatchObject({ rejection: 'key_unknown' })
  })

  test.each(['x509-svid', 'wit-svid', 'sig', undefined])('leaves out keys of use %s', async use => {
    const { attest, authority, file } = createDomain()
    file.read = () => JSON.stringify({ keys: [{ ...authority.key.publicJwk, use }] })
    expect(await attest()).toMatchObject({ rejection: 'key_not_acceptable' })
  })
})

describe('settings', () => {
  const good = { trust_domain: TRUST_DOMAIN, audience: AUDIENCE, bundle_file: 'bundle.json' }
  test.each([
    ['a URI for a trust domain', { ...good, trust_domain: 'spiffe://acme.test' }],
    ['an upper-case trust domain', { ...good, trust_domain: 'Acme.test' }],
    ['EdDSA', { ...good, algorithms: ['EdDSA'] }],
    ['HS256', { ...good, algorithms: ['HS256'] }],
    ['no bundle', { trust_domain: TRUST_DOMAIN, audience: AUDIENCE }],
    ['an unknown key', { ...good, bundle_url: 'https://acme.test' }],
  ])('%s is refused', (_what, settings) => {
    expect(spiffeJwt.settings.safeParse(settings).success).toBe(false)
  })
})
