import { createHash } from 'node:crypto'
import { AsnConvert } from '@peculiar/asn1-schema'
import { Certificate } from '@peculiar/asn1-x509'
import { describe, expect, test } from 'vitest'
import { AttestationUnavailable, type Evidence } from '../../attestors/attestor.ts'
import { BUNDLE_TIMES } from '../../attestors/shared/spiffe-bundle-file.ts'
import { spiffeX509 } from '../../attestors/spiffe-x509.ts'
import { type AttestorSubject, describeAttestor } from '../conformance/attestor.ts'
import {
  type AuthorityWish,
  createSpiffeX509Authority,
  type SpiffeX509Authority,
  type SvidWish,
} from '../fakes/identity/spiffe-x509-authority.ts'
import { extension, makeKeys, USES } from '../fakes/identity/x509-certificates.ts'
import { NOON, open } from './issuer-subject.ts'

const TRUST_DOMAIN = 'acme.test'
const PATH = '/agent/coder'

// RSA keys are slow to make, and nothing changes them.
const legacy = makeKeys('legacy')
const small = makeKeys('small')
const rsa = makeKeys('rsa')

const certificates = (chain: readonly Uint8Array[]): Evidence => ({ type: 'certificates', chain })

/** A trust domain, its bundle in a file that can be changed, and an attestor of it. */
async function createDomain(settings: Record<string, unknown> = {}, given?: SpiffeX509Authority) {
  const clock = { ms: NOON }
  const now = () => clock.ms
  const authority = given ?? (await createSpiffeX509Authority({ trustDomain: TRUST_DOMAIN, now }))
  const file = { read: () => authority.bundle(), reads: 0 }
  const readFile = async () => {
    file.reads += 1
    return file.read()
  }
  const all = { trust_domain: TRUST_DOMAIN, bundle_file: 'bundle.json', ...settings }
  const openAttestor = () => open(spiffeX509, all, { now, readFile })
  const attestor = openAttestor()
  const show = (chain: readonly Uint8Array[]) => attestor.attest(certificates(chain))
  const attest = async (wish: SvidWish = {}) => show((await authority.issue(PATH, wish)).chain)
  return { clock, now, authority, file, all, attestor, openAttestor, show, attest }
}

/** What the conformance subjects are made of: nothing in the suite changes it. */
async function createParties() {
  const now = () => NOON
  const authority = await createSpiffeX509Authority({ trustDomain: TRUST_DOMAIN, now })
  return {
    authority,
    elsewhere: await createSpiffeX509Authority({ trustDomain: 'elsewhere.test', now }),
    impostor: await authority.authority({ name: authority.root.name }),
    stranger: await authority.authority({ name: 'CN=nobody' }),
    old: await authority.authority({ name: 'CN=old' }),
  }
}
const parties = createParties()

async function createSubject(): Promise<AttestorSubject> {
  const { authority, elsewhere, impostor, stranger, old } = await parties
  const { clock, now, file, all, openAttestor } = await createDomain({}, authority)
  const svid = (wish: SvidWish, path = PATH) => {
    return async () => certificates((await authority.issue(path, wish)).chain)
  }
  return {
    open: openAttestor,
    openUnreachable: () =>
      open(spiffeX509, all, { now, readFile: () => Promise.reject(new Error('ENOENT: no such file')) }),
    acceptable: svid({}),
    foreign: async () => certificates((await elsewhere.issue(PATH)).chain),
    samples: {
      malformed: async () => certificates([(await authority.issue(PATH)).chain[0]!.subarray(0, 200)]),
      header_not_allowed: { impossible: 'a certificate has no header' },
      type_not_allowed: { impossible: 'a certificate says nothing of its type' },
      algorithm_not_allowed: svid({ issuer: { ...old, keys: await legacy } }),
      issuer_not_trusted: async () => certificates((await elsewhere.issue(PATH)).chain),
      key_unknown: { impossible: 'no certificate names the key that it is signed by' },
      key_not_acceptable: svid({ keys: await small }),
      signature_invalid: svid({ issuer: impostor }),
      claim_missing: { impossible: 'without its SPIFFE ID a certificate has no acceptable subject' },
      claim_malformed: { impossible: 'without its SPIFFE ID a certificate has no acceptable subject' },
      audience_wrong: { impossible: 'a certificate is for whoever it is shown to, on that connection' },
      expired: svid({ fromS: -7200, untilS: -1 }),
      not_yet_valid: svid({ fromS: 1 }),
      lifetime_too_long: svid({ untilS: 7 * 86_400 }),
      too_old: { impossible: 'its life is capped, and it may be used for all of it' },
      subject_not_acceptable: svid({}, ''),
      certificate_not_acceptable: svid({ basic: extension.basic(true) }),
      chain_not_trusted: svid({ issuer: stranger }),
      revoked: { impossible: 'SVIDs are short-lived; what is revoked is their authority, in the bundle' },
    },
    outsideCalls: () => file.reads,
    now,
    advance(ms) {
      clock.ms += ms
    },
    close: async () => {},
  }
}

describeAttestor('spiffe-x509', createSubject)

test('an SVID is proven, bound to its key, and counts as often as it is shown', async () => {
  const { authority, show } = await createDomain()
  const { chain, leaf } = await authority.issue(PATH)
  const digest = createHash('sha256').update(leaf.der).digest('base64url')
  expect(await show(chain)).toEqual({
    ok: true,
    proof: {
      issuer: 'spiffe://acme.test',
      subject: 'spiffe://acme.test/agent/coder',
      claims: { trust_domain: TRUST_DOMAIN, path: PATH },
      boundKey: { 'x5t#S256': digest },
      replay: {
        id: expect.stringMatching(/^x509\/[\w-]{43}$/),
        ...{ singleUse: false, reuse: 'open', issuedAt: NOON - 10_000, until: NOON + 3600_000 },
      },
    },
  })
})

test('a signature written in another way is the same use', async () => {
  const { authority, show } = await createDomain()
  const { chain } = await authority.issue(PATH)
  const twin = signatureTwin(chain[0]!)
  expect(twin).not.toEqual(chain[0])
  const [one, other] = [await show(chain), await show([twin])]
  if (!one.ok || !other.ok) throw new Error('both are sound')
  expect(other.proof.replay.id).toBe(one.proof.replay.id)
})

describe('accepted are', () => {
  const workload = { type: 'url', value: 'spiffe://acme.test/agent/coder' } as const
  test.each<[string, SvidWish]>([
    ['P-384', { kind: 'p384' }],
    ['Ed25519', { kind: 'ed25519' }],
    ['DNS names beside the SPIFFE ID', { names: [workload, { type: 'dns', value: 'coder.acme.test' }] }],
    ['no extended key usage', { purposes: null }],
    ['no basic constraints', { basic: null }],
    ['an empty subject with a critical name', { subject: '', alternativeNameCritical: true }],
    ['key agreement beside signing', { usage: extension.usage(USES.digitalSignature | USES.keyAgreement) }],
    ['an extension nobody knows', { more: [extension.other('1.3.6.1.4.1.99999.1', false)] }],
  ])('%s', async (_what, wish) => {
    const { attest } = await createDomain()
    expect(await attest(wish)).toMatchObject({ ok: true })
  })

  test('RSA keys, of leaf and authority', async () => {
    const { authority, attest, clock } = await createDomain()
    const root = await authority.authority({ keys: await rsa })
    authority.publish([root])
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest({ keys: await rsa, issuer: root })).toMatchObject({ ok: true })
  })
})

const URI = (value: string) => ({ type: 'url', value }) as const

describe('no workload is named by', () => {
  test.each<[string, NonNullable<SvidWish['names']>]>([
    ['two URIs', [URI('spiffe://acme.test/a'), URI('spiffe://acme.test/b')]],
    ['a web address beside it', [URI('spiffe://acme.test/a'), URI('https://acme.test')]],
    ['a DNS name alone', [{ type: 'dns', value: 'acme.test' }]],
    ['an e-mail address', [{ type: 'email', value: 'coder@acme.test' }]],
    ['the trust domain itself', [URI('spiffe://acme.test')]],
    ['a path that ends in a slash', [URI('spiffe://acme.test/a/')]],
    ['a path upwards', [URI('spiffe://acme.test/../a')]],
    ['an upper-case scheme', [URI('SPIFFE://acme.test/a')]],
    ['a query', [URI('spiffe://acme.test/a?b')]],
    ['a port', [URI('spiffe://acme.test:443/a')]],
    ['escapes', [URI('spiffe://acme.test/%61')]],
  ])('%s', async (_what, names) => {
    const { attest, file } = await createDomain()
    expect(await attest({ names })).toMatchObject({ rejection: 'subject_not_acceptable' })
    expect(file.reads).toBe(0)
  })

  test.each(['elsewhere.test', 'acme.test.evil.test', 'acme.tes', 'sub.acme.test'])(
    '%s, another domain, and nothing is looked up',
    async domain => {
      const { attest, attestor, authority, file } = await createDomain()
      const names = [URI(`spiffe://${domain}/a`)]
      expect(await attest({ names })).toMatchObject({ rejection: 'issuer_not_trusted' })
      const { chain } = await authority.issue(PATH, { names })
      expect(attestor.recognises(certificates(chain))).toBe(false)
      expect(file.reads).toBe(0)
    },
  )
})

describe('a leaf is not acceptable', () => {
  const { digitalSignature, keyCertSign, cRLSign, keyEncipherment } = USES
  const SERVER = '1.3.6.1.5.5.7.3.1'
  const CLIENT = '1.3.6.1.5.5.7.3.2'
  test.each<[string, SvidWish]>([
    ['as an authority (cA)', { basic: extension.basic(true) }],
    ['with keyCertSign', { usage: extension.usage(digitalSignature | keyCertSign) }],
    ['with cRLSign', { usage: extension.usage(digitalSignature | cRLSign) }],
    ['without digitalSignature', { usage: extension.usage(keyEncipherment) }],
    ['without key usage', { usage: null }],
    ['with a key usage that is not critical', { usage: extension.usage(digitalSignature, false) }],
    ['for servers only', { purposes: extension.purposes(SERVER) }],
    ['for clients only', { purposes: extension.purposes(CLIENT) }],
    ['for any purpose, which are not those two', { purposes: extension.purposes('2.5.29.37.0') }],
    ['with an empty subject and a name that is not critical', { subject: '' }],
    ['with something critical that nobody knows', { more: [extension.other('1.3.6.1.4.1.99999.1', true)] }],
    ['with name constraints', { more: [extension.other('2.5.29.30', false, Uint8Array.of(0x30, 0x00))] }],
  ])('%s', async (_what, wish) => {
    const { attest } = await createDomain()
    expect(await attest(wish)).toMatchObject({ rejection: 'certificate_not_acceptable' })
  })

  test('with an extension twice', async () => {
    const { attest } = await createDomain()
    const more = [extension.usage(USES.digitalSignature)]
    expect(await attest({ more })).toMatchObject({ rejection: 'malformed' })
  })
})

describe('time', () => {
  test('is held to the second at both ends, with no leeway', async () => {
    const { authority, clock, show } = await createDomain()
    const { chain } = await authority.issue(PATH, { fromS: 10, untilS: 20 })
    const at = async (seconds: number) => {
      clock.ms = NOON + seconds * 1000
      return show(chain)
    }
    expect(await at(9.999)).toMatchObject({ rejection: 'not_yet_valid' })
    expect(await at(10)).toMatchObject({ ok: true })
    expect(await at(19.999)).toMatchObject({ ok: true })
    expect(await at(20)).toMatchObject({ rejection: 'expired' })
  })

  test('is capped, and the cap is a setting', async () => {
    const { attest } = await createDomain({ max_lifetime_seconds: 3610 })
    expect(await attest()).toMatchObject({ ok: true })
    expect(await attest({ untilS: 3601 })).toMatchObject({ rejection: 'lifetime_too_long' })
  })
})

describe('a chain', () => {
  /** A root in the bundle, an authority below it, and another below that. */
  async function createNested() {
    const domain = await createDomain()
    const { authority } = domain
    const middle = await authority.authority({ name: 'CN=middle', issuer: authority.root })
    const low = await authority.authority({ name: 'CN=low', issuer: middle })
    return { ...domain, middle, low }
  }

  test('is taken in any order, with what does not belong to it', async () => {
    const { authority, middle, low, show } = await createNested()
    const stranger = await authority.authority({ name: 'CN=stranger' })
    const { chain } = await authority.issue(PATH, { issuer: low })
    for (const others of [
      [low, middle],
      [middle, low],
      [stranger, middle, stranger, low, authority.root],
    ])
      expect(await show([...chain, ...others.map(({ der }) => der)])).toMatchObject({ ok: true })
  })

  test('leads to the bundle alone', async () => {
    const { authority, show, middle, low, attest } = await createNested()
    const { chain } = await authority.issue(PATH, { issuer: low })
    for (const others of [[], [low], [middle], [authority.root]])
      expect(await show([...chain, ...others.map(({ der }) => der)])).toMatchObject({
        rejection: 'chain_not_trusted',
      })
    // A root of somebody's own, sent along: as a public authority's or the system's would be.
    const own = await authority.authority({ name: 'CN=own root' })
    expect(await attest({ issuer: own, below: [own.der] })).toMatchObject({ rejection: 'chain_not_trusted' })
  })

  test('may begin at an authority that is not a root', async () => {
    const { authority, attest, clock, middle } = await createNested()
    authority.publish([middle])
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest({ issuer: middle })).toMatchObject({ ok: true })
  })

  test('is not longer than its authorities allow', async () => {
    const { authority, attest, clock } = await createNested()
    const root = await authority.authority({ name: 'CN=short', pathLength: 1 })
    authority.publish([root])
    clock.ms += BUNDLE_TIMES.checkMs
    const one = await authority.authority({ name: 'CN=one', issuer: root })
    const two = await authority.authority({ name: 'CN=two', issuer: one })
    const self = await authority.authority({ name: 'CN=short', issuer: root })
    expect(await attest({ issuer: one, below: [one.der] })).toMatchObject({ ok: true })
    expect(await attest({ issuer: two, below: [two.der, one.der] })).toMatchObject({
      ...{ rejection: 'chain_not_trusted', detail: expect.stringContaining('longer') },
    })
    // Issued to its issuer's own name, as when keys change: that does not count (RFC 5280 section 4.2.1.9).
    const last = await authority.authority({ name: 'CN=last', issuer: self })
    expect(await attest({ issuer: last, below: [last.der, self.der] })).toMatchObject({ ok: true })
  })

  test('that goes in a circle, or is one name again and again, ends', async () => {
    const { authority, attest } = await createNested()
    const a = await authority.authority({ name: 'CN=a' })
    const b = await authority.authority({ name: 'CN=b', issuer: a })
    const back = { ...(await authority.authority({ name: 'CN=a', issuer: b })), keys: a.keys }
    const circle = await attest({ issuer: b, below: [b.der, back.der, a.der] })
    expect(circle).toMatchObject({ rejection: 'chain_not_trusted' })
    const same = await Promise.all(
      Array.from({ length: 7 }, () => authority.authority({ name: authority.root.name })),
    )
    const many = await attest({ issuer: same[0]!, below: same.map(({ der }) => der) })
    expect(many).toMatchObject({ ok: false })
    expect(await attest({ below: Array(8).fill(a.der) })).toMatchObject({ rejection: 'malformed' })
  })

  test.each<[string, AuthorityWish]>([
    ['is none (cA)', { basic: extension.basic(false) }],
    ['says nothing of it', { basic: null }],
    ['may not sign certificates', { usage: extension.usage(USES.cRLSign) }],
    ['has no key usage', { usage: null }],
    ['is expired', { fromS: -100, untilS: -1 }],
    ['is not yet valid', { fromS: 60 }],
    ['has a workload for its name', { names: [URI('spiffe://acme.test/agent/coder')] }],
    ['is of another trust domain', { names: [URI('spiffe://elsewhere.test')] }],
    ['is for servers only', { more: [extension.purposes('1.3.6.1.5.5.7.3.1')] }],
    ['is bound to names', { more: [extension.other('2.5.29.30', true, Uint8Array.of(0x30, 0x00))] }],
    ['is bound to policies', { more: [extension.other('2.5.29.36', true, Uint8Array.of(0x30, 0x00))] }],
  ])('has no authority that %s', async (_what, wish) => {
    const { authority, attest, clock } = await createNested()
    const below = await authority.authority({ name: 'CN=below', issuer: authority.root, ...wish })
    const refused = { rejection: 'chain_not_trusted' }
    expect(await attest({ issuer: below, below: [below.der] })).toMatchObject(refused)
    // In the bundle it is held to the same.
    authority.publish([below])
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest({ issuer: below })).toMatchObject(refused)
  })

  test.each([
    ['a weak key', small, 'chain_not_trusted'],
    ['a signature with SHA-1', legacy, 'algorithm_not_allowed'],
  ])('has no authority with %s', async (_what, keys, rejection) => {
    const { authority, attest } = await createNested()
    const below = await authority.authority({ name: 'CN=weak', issuer: authority.root, keys: await keys })
    const verdict = await attest({ issuer: below, below: [below.der] })
    expect(verdict).toMatchObject({ rejection })
  })

  test('of a leaf that signs for others is none', async () => {
    const { authority, attest } = await createNested()
    const workload = (await authority.issue(PATH)).leaf
    const verdict = await attest({ issuer: workload, below: [workload.der] })
    expect(verdict).toMatchObject({ rejection: 'chain_not_trusted' })
  })
})

describe('the bundle', () => {
  test('changes, and SVIDs of both authorities count meanwhile', async () => {
    const { attest, authority, clock, show } = await createDomain()
    const { chain } = await authority.issue(PATH)
    expect(await show(chain)).toMatchObject({ ok: true })
    await authority.rotate()
    expect(await attest()).toMatchObject({ rejection: 'chain_not_trusted' })
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest()).toMatchObject({ ok: true })
    expect(await show(chain)).toMatchObject({ ok: true })
    await authority.rotate({ keepOld: false })
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await show(chain)).toMatchObject({ rejection: 'chain_not_trusted' })
  })

  test('without certificates revokes every SVID', async () => {
    const { attest, authority, clock } = await createDomain()
    expect(await attest()).toMatchObject({ ok: true })
    authority.publish([])
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest()).toMatchObject({ rejection: 'chain_not_trusted' })
  })

  test('that cannot be read again is no reason to refuse what the newer one may know', async () => {
    const { attest, authority, clock, file } = await createDomain()
    expect(await attest()).toMatchObject({ ok: true })
    file.read = () => '{"keys":[{"kty"'
    clock.ms += BUNDLE_TIMES.checkMs
    expect(await attest()).toMatchObject({ ok: true })
    const newer = await authority.authority({ name: 'CN=newer' })
    await expect(attest({ issuer: newer })).rejects.toThrow(AttestationUnavailable)
    clock.ms += BUNDLE_TIMES.maxStaleMs
    await expect(attest()).rejects.toThrow(AttestationUnavailable)
  })

  test.each<[string, (der: string, more: string) => object]>([
    ['of another use', x5c => ({ use: 'jwt-svid', x5c: [x5c] })],
    ['without a use', x5c => ({ x5c: [x5c] })],
    ['without certificates', () => ({ use: 'x509-svid' })],
    ['in base64url', x5c => ({ use: 'x509-svid', x5c: [Buffer.from(x5c, 'base64').toString('base64url')] })],
    ['that is second', (x5c, other) => ({ use: 'x509-svid', x5c: [other, x5c] })],
    ['that is cut short', x5c => ({ use: 'x509-svid', x5c: [x5c.slice(0, 400)] })],
  ])('has no authority %s', async (_what, entry) => {
    const { attest, authority, file } = await createDomain()
    const text = (der: Uint8Array) => Buffer.from(der).toString('base64')
    const other = await authority.authority({ name: 'CN=other' })
    const key = { kty: 'EC', ...entry(text(authority.root.der), text(other.der)) }
    file.read = () => JSON.stringify({ keys: [key] })
    expect(await attest()).toMatchObject({ rejection: 'chain_not_trusted' })
  })
})

describe('settings', () => {
  const good = { trust_domain: TRUST_DOMAIN, bundle_file: 'bundle.json' }
  test.each([
    ['a URI for a trust domain', { ...good, trust_domain: 'spiffe://acme.test' }],
    ['no bundle', { trust_domain: TRUST_DOMAIN }],
    ['an unknown key', { ...good, audience: 'https://mayfly.test' }],
  ])('%s is refused', (_what, settings) => {
    expect(spiffeX509.settings.safeParse(settings).success).toBe(false)
  })
})

/** The other signature of an ECDSA signature on P-256, (r, n - s): as good, and other bytes. */
function signatureTwin(der: Uint8Array): Uint8Array {
  const certificate = AsnConvert.parse(der, Certificate)
  const old = Buffer.from(certificate.signatureValue)
  const lengthOfR = old[3]!
  const s = old.subarray(6 + lengthOfR)
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const other = (order - BigInt(`0x${s.toString('hex')}`)).toString(16).padStart(66, '0')
  const integer = (value: Uint8Array) => Buffer.concat([Buffer.of(0x02, value.length), value])
  const pair = Buffer.concat([old.subarray(2, 4 + lengthOfR), integer(minimal(Buffer.from(other, 'hex')))])
  const signature = Buffer.concat([Buffer.of(0x30, pair.length), pair])
  const head = Buffer.from(der).subarray(4, der.length - old.length - 3)
  const body = Buffer.concat([head, Buffer.of(0x03, signature.length + 1, 0), signature])
  return Buffer.concat([Buffer.of(0x30, 0x82, body.length >> 8, body.length & 0xff), body])
}

function minimal(value: Buffer): Buffer {
  let start = 0
  while (start < value.length - 1 && value[start] === 0 && value[start + 1]! < 0x80) start += 1
  return value.subarray(start)
}
