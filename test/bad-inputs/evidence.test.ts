/** Rows J, K and C: evidence that is no evidence, at every door, with one answer at each. */
import { describe, expect, test } from 'vitest'
import { createForger } from '../fakes/identity/forger.ts'
import { createSigningKey } from '../fakes/identity/signing-key.ts'
import { spellingsOf } from '../fakes/identity/spellings.ts'
import { AUDIENCE } from '../fakes/installation.ts'
import {
  type AttackedBroker,
  attackedBroker,
  type Claims,
  exchangeRequest,
  TOKEN_TYPE,
} from './attacked-broker.ts'
import { type EvidenceRow, expectRefused, testEvidence } from './refusals.ts'

const it = attackedBroker()

const base64url = (text: string | Uint8Array) => Buffer.from(text as string).toString('base64url')
const jsonOf = (broker: AttackedBroker, changes: Claims = {}) => JSON.stringify(broker.claims(changes))
/** The text of good claims with one more member written in front. */
const withMember = (broker: AttackedBroker, member: string) => `{${member},${jsonOf(broker).slice(1)}`
const utf16 = (text: string, mark: string) => Buffer.from(mark + text, 'utf16le')
const segments = (token: string) => token.split('.') as [string, string, string]

describe('J: not one spelling of strict JSON in a compact JWS', () => {
  testEvidence(it, [
    ['J1', 'an empty token', () => ['']],
    [
      'J2',
      'too few or too many segments',
      broker => {
        const [header, payload, signature] = segments(broker.goodToken())
        return [
          header,
          `${header}.${payload}`,
          `${header}.${payload}.`,
          `.${payload}.${signature}`,
          `${header}..${signature}`,
          '..',
          '...',
          '....',
          `${header}.${payload}.${signature}.${signature}`,
          `${header}.${payload}.${signature}.`,
          `.${header}.${payload}.${signature}`,
        ]
      },
    ],
    [
      'J3',
      'another serialization, or another kind of token',
      broker => {
        const [header, payload, signature] = segments(broker.goodToken())
        return {
          flattened: JSON.stringify({ protected: header, payload, signature }),
          general: JSON.stringify({ payload, signatures: [{ protected: header, signature }] }),
          encrypted: `${base64url('{"alg":"dir","enc":"A128GCM"}')}..AAAA.AAAA.AAAA`,
          'wrapped in base64url': base64url(`${header}.${payload}.${signature}`),
          'with its scheme': `Bearer ${header}.${payload}.${signature}`,
          quoted: `"${header}.${payload}.${signature}"`,
          'two with a comma': `${header}.${payload}.${signature},${header}.${payload}.${signature}`,
          'percent-encoded twice': `${header}%2E${payload}%2E${signature}`,
          paseto: `v4.public.${payload}${signature}`,
          'a SAML assertion': '<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"/>',
          'of GitHub': `ghs_${'A'.repeat(36)}`,
          'a number': '42',
          'a word of JSON': 'null',
          'a path': '../../etc/passwd',
          'a statement': "' OR 1=1 --",
        }
      },
    ],
    [
      'J5 J6 J8',
      'every other spelling of a good token',
      broker => [...spellingsOf(broker.goodToken()), ...spellingsOf(broker.rsaForger.token(broker.claims()))],
    ],
    [
      'J7',
      'characters that look like others',
      broker => {
        const token = broker.goodToken()
        return ['\u3002', '\uff0e', '\u2024', '\u200b.', '.\u200b', '\u00a0.', '.\r\n', '\0.', '%2e']
          .map(dot => token.replace('.', dot))
          .concat(
            `\ufeff${token}`,
            `${token}\0`,
            `${token}\u2028`,
            `\u202e${token}`,
            token.replace('e', '\uff45'),
          )
      },
    ],
    [
      'J9',
      'a claim or header that comes twice',
      broker => [
        ...[
          '"sub":"admin"',
          '"iss":"https://a.test"',
          '"aud":"other"',
          '"exp":9999999999',
          '"j\\u0074i":"x"',
          '"x":{"a":1,"a":2}',
        ].map(member => broker.forger.token(withMember(broker, member))),
        ...[
          '"alg":"ES256","alg":"ES256"',
          '"alg":"none","alg":"ES256"',
          '"kid":"other","alg":"ES256"',
          '"alg":"ES256","\\u006bid":"good"',
        ].map(members => broker.forger.token(jsonOf(broker), `{${members},"kid":"good"}`)),
      ],
    ],
    [
      'J10',
      'a payload or header that is no JSON object',
      broker => [
        ...[
          '[]',
          '"a"',
          '42',
          'null',
          'true',
          '{',
          '{}x',
          "{'sub':'runner'}",
          '{"sub":"runner",}',
          '{"a":NaN}',
          '{"a":0x10}',
          '{"a":+1}',
          '{"a":01}',
          '{"a":"\t"}',
          '// a\n{}',
          ' ',
          'sub=runner',
          '\0',
          '{"sub":"\\ud800"}',
        ].flatMap(text => [broker.forger.token(text), broker.forger.token(jsonOf(broker), text)]),
        broker.forger.token(`${jsonOf(broker)}{}`),
        broker.forger.token(`${jsonOf(broker)}\0`),
        broker.forger.token(withMember(broker, '"x":Infinity')),
        broker.forger.token(withMember(broker, '"x":"\\udc00"')),
      ],
    ],
    [
      'J11',
      'a byte order mark, UTF-16, bytes that are not UTF-8',
      broker => [
        broker.forger.token(`\ufeff${jsonOf(broker)}`),
        broker.forger.token(utf16(jsonOf(broker), '\ufeff')),
        broker.forger.token(utf16(jsonOf(broker), '')),
        broker.forger.token(
          Buffer.concat([
            Buffer.from(`{"x":"`),
            Buffer.from([0xff]),
            Buffer.from(`",${jsonOf(broker).slice(1)}`),
          ]),
        ),
        broker.forger.token(
          Buffer.concat([
            Buffer.from(`{"x":"`),
            Buffer.from([0xc0, 0xaf]),
            Buffer.from(`",${jsonOf(broker).slice(1)}`),
          ]),
        ),
        broker.forger.token(
          Buffer.concat([
            Buffer.from(`{"x":"`),
            Buffer.from([0xed, 0xa0, 0x80]),
            Buffer.from(`",${jsonOf(broker).slice(1)}`),
          ]),
        ),
      ],
    ],
    [
      'J12',
      'members of the prototype in place of claims',
      broker => [
        broker.forger.token(`{"__proto__":${jsonOf(broker)}}`),
        broker.forger.token(`{"constructor":{"prototype":${jsonOf(broker)}}}`),
        broker.forger.token(
          withMember(broker, '"__proto__":{"sub":"runner"}').replace('"sub":"runner","jti"', '"jti"'),
        ),
        broker.forger.token(
          jsonOf(broker),
          `{"alg":"ES256","__proto__":{"kid":"good"}}`.replace('"alg":"ES256",', ''),
        ),
      ],
    ],
    [
      'J14',
      'more than a token may have',
      broker => [12_300, 30_000, 40_000].map(size => broker.goodToken({ pad: 'x'.repeat(size) })),
    ],
    [
      'J15',
      'nesting',
      broker => [
        ...[17, 100, 1_000, 5_000, 10_000, 20_000].flatMap(depth => [
          broker.forger.token(withMember(broker, `"x":${'['.repeat(depth)}${']'.repeat(depth)}`)),
          broker.forger.token(withMember(broker, `"x":${'['.repeat(depth)}`)),
        ]),
        broker.forger.token(withMember(broker, `"x":${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}`)),
        broker.forger.token(jsonOf(broker), `{"x":${'['.repeat(5_000)}${']'.repeat(5_000)},"alg":"ES256"}`),
      ],
    ],
  ])

  test('J14 a token of a mebibyte is refused before it is read', async () => {
    const reply = await it.send(exchangeRequest(it.goodToken({ pad: 'x'.repeat(1_048_576) })))
    expect(reply.status).toBe(413)
    expect(JSON.parse(reply.text)).toMatchObject({ error: 'invalid_request' })
  })
})

const stranger = createForger({ kid: 'good' })
const edwards = createSigningKey('EdDSA', 'good')
const P256_ORDER = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'

/** A good token under another signature. */
function resigned(broker: AttackedBroker, signature: Uint8Array): string {
  const [header, payload] = segments(broker.goodToken())
  return `${header}.${payload}.${base64url(signature)}`
}

describe('K: keys and algorithms', () => {
  testEvidence(it, [
    [
      'K1',
      'alg none',
      broker =>
        ['none', 'None', 'NONE', 'nOnE', ' none', 'none\0', ''].flatMap(alg => [
          broker.forger.unsignedToken(broker.claims(), alg),
          broker.forger.unsignedToken(broker.claims(), alg, 'AAAA'),
          broker.forger.token(broker.claims(), { alg }),
        ]),
    ],
    [
      'K2',
      'HS256 keyed by the public key',
      broker => {
        const { publicKey, publicJwk } = broker.rsaForger.key
        const pem = String(publicKey.export({ format: 'pem', type: 'spki' }))
        const pkcs1 = String(publicKey.export({ format: 'pem', type: 'pkcs1' }))
        const keys = [
          pem,
          pem.trim(),
          pkcs1,
          publicKey.export({ format: 'der', type: 'spki' }),
          JSON.stringify(publicJwk),
          String(publicJwk.n),
          '',
        ]
        return keys.map(key => broker.rsaForger.hmacToken(broker.claims(), key === '' ? '\0' : key))
      },
    ],
    [
      'K3',
      "an algorithm that is not this issuer's",
      broker => [
        ...[
          'RS384',
          'RS512',
          'PS256',
          'ES384',
          'ES512',
          'ES256K',
          'EdDSA',
          'Ed25519',
          'HS384',
          'es256',
          'ES256 ',
          'RSA-OAEP',
          'dir',
          'toString',
          '__proto__',
        ].map(alg => broker.forger.token(broker.claims(), { alg })),
        ...[null, 256, true, ['ES256'], { alg: 'ES256' }, undefined].map(alg =>
          broker.forger.token(broker.claims(), { alg }),
        ),
        `${base64url('{"alg":"EdDSA","kid":"good"}')}.${base64url(jsonOf(broker))}.${base64url(edwards.sign(Buffer.from('x')))}`,
      ],
    ],
    [
      'K4',
      'a key of another kind under the kid',
      broker => [
        broker.rsaForger.token(broker.claims(), { alg: 'ES256' }),
        broker.forger.token(broker.claims(), { alg: 'RS256' }),
        broker.forger.token(broker.claims(), { kid: 'rsa' }),
        broker.rsaForger.token(broker.claims(), { kid: 'good' }),
      ],
    ],
    [
      'K5',
      'a kid that means something elsewhere',
      broker =>
        [
          '../keys',
          '/dev/null',
          'file:///dev/null',
          "good' OR '1'='1",
          'good\0',
          'GOOD',
          ' good',
          'good ',
          'g\u043eod',
          '',
          '__proto__',
          'constructor',
          'x'.repeat(600),
          42,
          null,
          ['good'],
          { kid: 'good' },
        ].map(kid => broker.forger.token(broker.claims(), { kid })),
    ],
    [
      'K6',
      'signatures that are none',
      broker => {
        const zero = Buffer.alloc(32)
        const order = Buffer.from(P256_ORDER, 'hex')
        const [header, payload, signature] = segments(broker.goodToken())
        const bytes = Buffer.from(signature, 'base64url')
        return {
          'r and s zero': resigned(broker, Buffer.concat([zero, zero])),
          'r zero': resigned(broker, Buffer.concat([zero, bytes.subarray(32)])),
          'r the order': resigned(broker, Buffer.concat([order, Buffer.alloc(32, 1)])),
          's the order': resigned(broker, Buffer.concat([Buffer.alloc(32, 1), order])),
          'all ones': resigned(broker, Buffer.alloc(64, 0xff)),
          'in DER': resigned(broker, Buffer.from('3006020101020101', 'hex')),
          'one byte short': `${header}.${payload}.${base64url(bytes.subarray(1))}`,
          'one byte long': `${header}.${payload}.${base64url(Buffer.concat([bytes, Buffer.from([0])]))}`,
          'one bit changed': `${header}.${payload}.${base64url(bytes.map((byte, at) => (at === 5 ? byte ^ 1 : byte)))}`,
          'of another token': `${header}.${payload}.${segments(broker.goodToken())[2]}`,
          'over another payload': `${header}.${base64url(jsonOf(broker, { sub: 'admin' }))}.${signature}`,
          'over another header': `${base64url('{"alg":"ES256","kid":"good"}')}.${payload}.${signature}`,
          'of sixteen kibibytes': resigned(broker, Buffer.alloc(11_000, 1)),
        }
      },
    ],
    [
      'K7 K12',
      'keys nobody should use',
      broker => broker.sloppy.tokens(broker.claims({ iss: broker.sloppy.server.issuer })),
    ],
    [
      'K8',
      'an embedded key',
      broker => [
        stranger.token(broker.claims(), { jwk: stranger.key.publicJwk }),
        stranger.token(broker.claims(), { jwk: stranger.key.publicJwk, kid: undefined }),
        broker.forger.token(broker.claims(), { jwk: broker.forger.key.publicJwk }),
        stranger.token(broker.claims(), { x5c: [base64url('a certificate')] }),
        stranger.token(broker.claims(), { x5c: [] }),
      ],
    ],
    [
      'K11',
      'another type of token',
      broker =>
        [
          'at+jwt',
          'application/at+jwt',
          'dpop+jwt',
          'wit+jwt',
          'wpt+jwt',
          'logout+jwt',
          'secevent+jwt',
          'oauth-authz-req+jwt',
          'JOSE',
          'JWT\0',
          '',
          42,
          null,
          ['JWT'],
        ].map(typ => broker.forger.token(broker.claims(), { typ })),
    ],
    ['K12', 'no kid, and no key that fits', broker => stranger.token(broker.claims(), { kid: undefined })],
    [
      'K14',
      'headers that change what is verified',
      broker =>
        [
          { crit: ['exp'], exp: 1 },
          { crit: [] },
          { crit: ['b64'], b64: false },
          { b64: false },
          { b64: true },
          { zip: 'DEF' },
          { crit: null },
          { crit: 'exp' },
          { zip: null },
        ].map(header => broker.forger.token(broker.claims(), header)),
    ],
    [
      'K15',
      "a stranger's key under a known kid",
      broker => [stranger.token(broker.claims()), stranger.token(broker.claims(), { kid: 'rsa' })],
    ],
  ])

  test.each(['jku', 'x5u', 'jwks_uri', 'iss'])(
    'K9 an address in the header %s is never called',
    async name => {
      await it.exchange(it.goodToken())
      const before = it.outboundRequests()
      const addresses = [
        `${it.attacker.issuer}/keys`,
        'http://169.254.169.254/latest',
        'file:///etc/passwd',
        'http://[::1]/',
      ]
      for (const address of addresses)
        expectRefused(
          '/oauth/token',
          await it.exchange(stranger.token(it.claims(), { [name]: address })),
          address,
        )
      expect(it.outboundRequests()).toBe(before)
      expect(it.attacker.requests).toEqual([])
    },
  )

  test('K9 an issuer that is not configured is never called', async () => {
    const before = it.outboundRequests()
    for (const iss of [it.attacker.issuer, 'http://169.254.169.254', `${it.issuer.issuer}@attacker.test`])
      expectRefused('/oauth/token', await it.exchange(stranger.token(it.claims({ iss }))), iss)
    expect(it.outboundRequests()).toBe(before)
  })

  test('K13 a flood of kids costs one look at the key set at most', async () => {
    const before = it.outboundRequests()
    const [, payload, signature] = segments(it.goodToken())
    for (let round = 0; round < 10; round++) {
      const headers = Array.from({ length: 50 }, (_, at) =>
        base64url(`{"alg":"ES256","kid":"k${round}-${at}"}`),
      )
      const replies = await Promise.all(
        headers.map(header => it.send(exchangeRequest(`${header}.${payload}.${signature}`))),
      )
      for (const reply of replies) expectRefused('/oauth/token', reply, 'an unknown kid')
    }
    // Discovery and the key set.
    expect(it.outboundRequests() - before).toBeLessThanOrEqual(2)
  })
})

describe('C: claims', () => {
  const now = (broker: AttackedBroker) => Number(broker.claims().iat)
  /** One good token for each set of changes. */
  const each = (changes: (nowS: number) => readonly Claims[]) => (broker: AttackedBroker) =>
    changes(now(broker)).map(claims => broker.goodToken(claims))
  /** The same, signed by the trusted key of an issuer that signs whatever it is told. */
  const signedByHostile = (changes: (nowS: number) => readonly Claims[]) => (broker: AttackedBroker) =>
    Promise.all(
      changes(now(broker)).map(claims =>
        broker.hostileToken((_header, payload) => Object.assign(payload, claims)),
      ),
    )
  const raw = (members: (nowS: number) => readonly string[], without: string) => (broker: AttackedBroker) =>
    members(now(broker)).map(member => {
      const { [without]: _, ...rest } = broker.claims()
      return broker.forger.token(`{${member},${JSON.stringify(rest).slice(1)}`)
    })
  const beyond: readonly (readonly [string, string, (nowS: number) => readonly Claims[]])[] = [
    [
      'C1',
      'expired beyond the leeway',
      nowS => [{ iat: nowS - 200, exp: nowS - 61 }, { iat: 1, exp: 2 }, { exp: 0 }],
    ],
    [
      'C2',
      'from the future',
      nowS => [{ iat: nowS + 70, exp: nowS + 200 }, { nbf: nowS + 70 }, { nbf: nowS + 1e6, exp: nowS + 2e6 }],
    ],
    [
      'C3',
      'times of another type',
      nowS => [
        ...[undefined, null, `${nowS + 300}`, -1, nowS + 300.5, true, [nowS + 300], {}, '', 2 ** 53].map(
          exp => ({ exp }),
        ),
        ...[undefined, null, `${nowS}`, -1, nowS + 0.5, [nowS]].map(iat => ({ iat })),
        ...[null, `${nowS}`, -1, nowS + 0.5, {}].map(nbf => ({ nbf })),
      ],
    ],
    [
      'C4',
      'a life too long, or no life',
      nowS => [
        { exp: nowS + 31_536_000 },
        { exp: nowS + 3_601 },
        { exp: nowS },
        { iat: nowS, exp: nowS - 1 },
        { nbf: nowS + 300 },
      ],
    ],
    [
      'C5',
      'too old',
      nowS => [
        { iat: nowS - 400, exp: nowS + 100 },
        { iat: 0, exp: 300 },
      ],
    ],
    [
      'C6',
      'not this broker alone',
      () =>
        [
          ...[undefined, null, '', [], [[AUDIENCE]], { aud: AUDIENCE }, true, 0, [null], [AUDIENCE, 42]],
          ...[
            [AUDIENCE, 'other'],
            [AUDIENCE, AUDIENCE],
            ['other', AUDIENCE],
            `${AUDIENCE} other`,
            `${AUDIENCE},other`,
          ],
          ...[
            `${AUDIENCE}/`,
            AUDIENCE.toUpperCase(),
            AUDIENCE.slice(0, -1),
            ` ${AUDIENCE}`,
            `${AUDIENCE}\0`,
            `${AUDIENCE}:443`,
          ],
          ...[
            'https://github.com/acme',
            'mayfly.test',
            'http://mayfly.test',
            '*',
            `${AUDIENCE}?`,
            `${AUDIENCE}#`,
            'sts.amazonaws.com',
          ],
        ].map(aud => ({ aud })),
    ],
    [
      'C7',
      'no usable subject',
      () =>
        [undefined, null, '', 42, ['runner'], {}, 'runner\0', 'run\nner', 'x'.repeat(2_049)].map(sub => ({
          sub,
        })),
    ],
    [
      'C9',
      'no usable jti',
      () => [undefined, null, '', 42, ['x'], {}, 'x\0', 'x'.repeat(1_025)].map(jti => ({ jti })),
    ],
  ]
  testEvidence(it, [
    ...beyond.map(([id, what, changes]): EvidenceRow => [id, what, each(changes)]),
    ...beyond.map(
      ([id, what, changes]): EvidenceRow => [
        id,
        `${what}, signed by a trusted issuer`,
        signedByHostile(changes),
      ],
    ),
    [
      'C3',
      'numbers that JSON readers disagree on',
      raw(
        nowS =>
          [
            '1e400',
            '-1e400',
            `${nowS}.000000000000000001e0`,
            '1e-400',
            '-0',
            '99999999999999999999',
            `${nowS + 300}00000000000000000`,
          ].map(exp => `"exp":${exp}`),
        'exp',
      ),
    ],
    [
      'C6',
      'an audience that comes twice',
      raw(() => [`"aud":"other","aud":"${AUDIENCE}"`, `"aud":"${AUDIENCE}","\\u0061ud":"other"`], 'aud'),
    ],
    [
      'C8',
      'the issuer of one tenant, the key of another',
      broker => [
        broker.tenant.forger.token(broker.claims()),
        broker.forger.token(broker.claims({ iss: broker.tenant.issuer.issuer })),
        broker.rsaForger.token(broker.claims({ iss: broker.hostile.issuer.url })),
        broker.rsaForger.token(broker.claims({ iss: broker.installation.identityProvider.issuer })),
        broker.forger.token(
          broker.claims({ iss: 'spiffe://acme.test', sub: 'spiffe://acme.test/agent/coder' }),
        ),
      ],
    ],
    [
      'C8',
      'an issuer signs for another',
      broker =>
        Promise.all(
          [
            broker.issuer.issuer,
            broker.tenant.issuer.issuer,
            'https://token.actions.githubusercontent.com',
            `${broker.hostile.issuer.url}/`,
            undefined,
          ].map(iss => broker.hostileToken((_header, payload) => Object.assign(payload, { iss }))),
        ),
    ],
    [
      'C8',
      'almost the issuer',
      broker => [
        ...[
          `${broker.issuer.issuer}/`,
          broker.issuer.issuer.toUpperCase(),
          ` ${broker.issuer.issuer}`,
          `${broker.issuer.issuer}\0`,
          broker.issuer.issuer.replace('127.0.0.1', 'localhost'),
          [broker.issuer.issuer],
          { iss: broker.issuer.issuer },
          null,
          42,
          '',
          'http://127.0.0.1:8480',
          undefined,
        ].map(iss => broker.goodToken({ iss })),
      ],
    ],
    [
      'C12',
      'a claim of another type than the configuration says',
      broker =>
        [
          { team: 42 },
          { team: ['a'] },
          { level: '42' },
          { level: 4.2 },
          { level: 2 ** 60 },
          { team: null },
          { team: 'a\0' },
        ].map(claims => broker.goodToken(claims)),
    ],
    ['C14', "the broker's own tokens", broker => Object.values(broker.ownTokens)],
    [
      'C13',
      'an ID token whose header says that it is an access token',
      broker => broker.hostileToken(header => Object.assign(header, { typ: 'at+jwt' })),
    ],
  ])

  test.each(['access_token', 'refresh_token', 'saml1', 'saml2', 'other'])(
    'C13 an ID token that is said to be of type %s',
    async type => {
      const presented = await it.exchange(it.goodToken(), { subject_token_type: `${TOKEN_TYPE}${type}` })
      expectRefused('/oauth/token', presented, type)
    },
  )
})
