/** What good tokens are changed into: names, values, wraps, marks and spellings that careless readers take. */
import { ecdsaTwinOf } from '../fakes/identity/spellings.ts'

export const REGISTERED = ['iss', 'aud', 'sub', 'exp', 'iat', 'nbf', 'jti']
export const HEADERS = [
  'alg',
  'kid',
  'typ',
  'crit',
  'b64',
  'zip',
  'jwk',
  'jku',
  'x5u',
  'x5c',
  'x5t',
  'cty',
  'enc',
]
export const ODD_NAMES = [
  '"__proto__"',
  '"constructor"',
  '"toString"',
  '"ISS"',
  '"iss\\u0000"',
  '"\\ud800"',
  '""',
  '"\\u0069ss"',
  '"iss "',
]
const LONG = JSON.stringify('x'.repeat(3_000))
export const RAW = [
  ...[
    'null',
    'true',
    'false',
    '0',
    '-0',
    '1',
    '-1',
    '1.5',
    '1e400',
    '-1e400',
    '1e-400',
    '9007199254740993',
    '1e15',
  ],
  ...[
    '18446744073709551616',
    '253402300800',
    '1795262400',
    '01',
    '+1',
    '.5',
    '1.',
    'NaN',
    'Infinity',
    '0x10',
    '1_0',
  ],
  ...[
    '""',
    '" "',
    '"\\u0000"',
    '"a\\nb"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\u202e"',
    '"\u00e9"',
    '"e\u0301"',
    LONG,
  ],
  ...[
    '[]',
    '[[]]',
    '{}',
    '["a","b"]',
    '[null]',
    '[1,"1"]',
    '{"a":1,"a":2}',
    '{"__proto__":{}}',
    "'a'",
    '"a',
    'undefined',
  ],
  ...[
    '"JWT"',
    '"jwt"',
    '"at+jwt"',
    '"JOSE"',
    '"1795262400"',
    '["exp"]',
    `${'['.repeat(40)}${']'.repeat(40)}`,
    '{"$ne":null}',
  ],
]
export const WRAPS: readonly ((value: string) => string)[] = [
  value => `[${value}]`,
  value => `[[${value}]]`,
  value => `{"value":${value}}`,
  value => `[${value},${value}]`,
  value => JSON.stringify(value),
  value => JSON.stringify(`${JSON.parse(value)} `),
  value => JSON.stringify(Number(JSON.parse(value))),
  value => JSON.stringify(String(JSON.parse(value)).toUpperCase()),
]
export const NEAR: readonly ((text: string) => unknown)[] = [
  text => `${text}/`,
  text => text.slice(0, -1),
  text => text.toUpperCase(),
  text => text.replace('https', 'http'),
  text => ` ${text}`,
  text => `${text}\u0000`,
  text => [text, text],
  text => [text, 'https://elsewhere.test'],
  text => [[text]],
  text => ({ [text]: true }),
  text => `${text}.elsewhere.test`,
  text => text.replace('://', '://x@'),
]
export const KIDS = [
  '"good"',
  '"weak"',
  '"other"',
  '"nobody"',
  '""',
  'null',
  '1',
  '["good"]',
  '"../../keys"',
  '"good\\u0000"',
  '"Good"',
  LONG,
]
export const ALGS = [
  '"none"',
  '"None"',
  '"HS256"',
  '"RS256"',
  '"ES256"',
  '"ES384"',
  '"PS256"',
  '"EdDSA"',
  '"es256"',
  '""',
  'null',
  '["ES256"]',
]
export const MARKS: readonly ((json: string) => string | Uint8Array)[] = [
  json => `\uFEFF${json}`,
  json => Buffer.from(json, 'utf16le'),
  json => Buffer.concat([Buffer.from(json), Buffer.from([0xff])]),
  json =>
    Buffer.concat([
      Buffer.from(json.slice(0, -1)),
      Buffer.from(',"x":"'),
      Buffer.from([0xc0, 0x80]),
      Buffer.from('"}'),
    ]),
  json => `${json}${json}`,
  json => `[${json}]`,
  json => json.slice(0, -1),
  json => `${json.slice(0, -1)},}`,
  json => `/**/${json}`,
  json => JSON.stringify(json),
]
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
export const SPELLINGS: readonly ((token: string, n: number) => string)[] = [
  token => `${token}=`,
  token => `${token}==`,
  (token, n) => `${token.slice(0, n % token.length)}${' \t\n\r'[n % 4]}${token.slice(n % token.length)}`,
  // One letter is another; where it is the last of a segment, often another spelling of the same bytes.
  (token, n) => withLetter(token, n % token.length, n),
  (token, n) => withLetter(token, token.length - 1, n),
  (token, n) => withLetter(token, token.indexOf('.') - 1, n),
  token => token.replaceAll('-', '+').replaceAll('_', '/'),
  token => `${token}.`,
  token => `.${token}`,
  token => token.split('.').slice(0, 2).join('.'),
  token => `${token.split('.').slice(0, 2).join('.')}.`,
  token => token.split('.').toReversed().join('.'),
  (token, n) => token.slice(0, n % token.length),
  token => `${token}.${token}`,
  token => `Bearer ${token}`,
  token => twin(token),
  token => withSignature(token, bytes => Buffer.alloc(bytes.length)),
  token => withSignature(token, bytes => Buffer.concat([bytes, bytes])),
  token => withSignature(token, bytes => Buffer.concat([Buffer.alloc(1), bytes])),
  token => withSignature(token, bytes => der(bytes)),
  token => token.repeat(30),
]

function withLetter(token: string, index: number, n: number): string {
  if (token[index] === undefined) return token
  return token.slice(0, index) + BASE64URL[n % 64] + token.slice(index + 1)
}

function withSignature(token: string, change: (bytes: Buffer) => Buffer): string {
  const at = token.lastIndexOf('.') + 1
  return token.slice(0, at) + change(Buffer.from(token.slice(at), 'base64url')).toString('base64url')
}

/** (r, n - s), where it is a signature of ECDSA with P-256 at all: this one verifies. */
function twin(token: string): string {
  const length = Buffer.from(token.split('.')[2] ?? '', 'base64url').length
  return length === 64 ? ecdsaTwinOf(token) : token
}

/** r || s as two INTEGERs in a SEQUENCE, as everybody but JOSE writes them. */
function der(bytes: Buffer): Buffer {
  const half = bytes.length / 2
  const integer = (part: Buffer) => Buffer.concat([Buffer.from([2, part.length + 1, 0]), part])
  const both = Buffer.concat([integer(bytes.subarray(0, half)), integer(bytes.subarray(half))])
  return Buffer.concat([Buffer.from([0x30, both.length % 128]), both])
}
