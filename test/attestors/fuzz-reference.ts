/**
 * What must hold of a token that is accepted, written from the RFCs and in no hurry: RFC 7515 section 5.2 and 7.1,
 * RFC 7519 section 4.1 and 7.2, RFC 8725, JWT-SVID. Signatures are jose's word. None of the attestors' code is in it.
 */
import { compactVerify, importJWK, type JWK } from 'jose'
import { type Numeral, type Read, readStrictly } from './fuzz-json.ts'

export type Expectation = {
  issuer: string
  audience: string
  algorithms: readonly string[]
  types: readonly string[]
  /** Whether a header without one is of another kind. */
  needsType?: true
  /** Header parameters that there may be; absent: any but the dangerous ones. */
  onlyHeader?: readonly string[]
  maxLifetimeS: number
  maxAgeS: number
  needsIssuedAt: boolean
  needsId: boolean
  /** As published, whatever they are worth. */
  keys: readonly JWK[]
  /** What `use` a key has to have. */
  uses: readonly (string | undefined)[]
  nowS: number
  /** Whose token it is: by `iss`, or by what its subject says. */
  isOurs: (claims: Claims, expected: Expectation) => boolean
  /** What the provider promises beyond that. @returns what is wrong */
  promise: (claims: Claims) => string | undefined
}
export type Claims = ReadonlyMap<string, Read>

const LEEWAY_S = 60
const DANGEROUS = ['crit', 'b64', 'zip', 'jwk', 'jku', 'x5u', 'x5c']

/** @returns the claims, or why nobody may take it */
export async function judgeByTheBook(token: string, expected: Expectation): Promise<Claims | string> {
  const segments = token.split('.')
  if (segments.length !== 3 || token.length > 16_384) return 'not three segments'
  for (const segment of segments) {
    if (!/^[A-Za-z0-9_-]+$/.test(segment)) return 'no base64url'
    if (Buffer.from(segment, 'base64url').toString('base64url') !== segment) return 'another spelling'
  }
  let header: Claims
  let claims: Claims
  try {
    header = readStrictly(Buffer.from(segments[0]!, 'base64url'))
    claims = readStrictly(Buffer.from(segments[1]!, 'base64url'))
  } catch (error) {
    return String(error)
  }
  const unsigned = headerFault(header, expected)
  if (unsigned !== undefined) return unsigned
  if (!expected.isOurs(claims, expected)) return 'of another issuer'
  const alg = header.get('alg') as string
  const key = keyFor(alg, header.get('kid') as string | undefined, expected)
  if (typeof key === 'string') return key
  try {
    await compactVerify(token, await importJWK(key, alg), { algorithms: [alg] })
  } catch (error) {
    return String(error)
  }
  return claimFault(claims, expected) ?? expected.promise(claims) ?? claims
}

function headerFault(
  header: Claims,
  { types, needsType, algorithms, onlyHeader }: Expectation,
): string | undefined {
  for (const name of header.keys()) {
    if (DANGEROUS.includes(name)) return `${name} in the header`
    if (onlyHeader !== undefined && !onlyHeader.includes(name)) return `${name} in a closed header`
  }
  const typ = header.get('typ')
  if (typ === undefined && needsType) return 'no typ'
  if (typ !== undefined && !(typeof typ === 'string' && types.includes(typ.toUpperCase()))) return 'typ'
  const alg = header.get('alg')
  if (typeof alg !== 'string' || !algorithms.includes(alg)) return 'alg'
  const kid = header.get('kid')
  return kid === undefined || (typeof kid === 'string' && kid !== '') ? undefined : 'kid'
}

/** RFC 7517: a public key for this algorithm; the one of that name, or the only one that there is. */
function keyFor(alg: string, kid: string | undefined, { keys, uses }: Expectation): JWK | string {
  const [kty, crv] = alg.startsWith('ES')
    ? ['EC', CURVES[alg]]
    : alg.startsWith('Ed')
      ? ['OKP', 'Ed25519']
      : ['RSA']
  const fit = keys.filter(
    key =>
      key.kty === kty &&
      (crv === undefined || key.crv === crv) &&
      (key.alg === undefined || key.alg === alg) &&
      uses.includes(key.use) &&
      (kid === undefined || key.kid === kid) &&
      isStrong(key),
  )
  return fit.length === 1 ? fit[0]! : `${fit.length} keys`
}

const CURVES: Record<string, string> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }

function isStrong({ kty, n = '', e = '' }: JWK): boolean {
  if (kty !== 'RSA') return true
  const number = (text: string) => BigInt(`0x${Buffer.from(text, 'base64url').toString('hex')}`)
  return number(n) >> 2047n > 0n && number(e) >= 65_537n
}

function claimFault(claims: Claims, expected: Expectation): string | undefined {
  const aud = claims.get('aud')
  const audiences = Array.isArray(aud) ? aud : [aud]
  if (audiences.length !== 1 || audiences[0] !== expected.audience) return 'aud'
  const sub = claims.get('sub')
  if (!isUsable(sub) || sub.length > 2_048) return 'sub'
  const times = new Map<string, number>()
  for (const name of ['exp', 'iat', 'nbf']) {
    const value = claims.get(name)
    if (value === undefined) continue
    const seconds = secondsOf(value)
    if (seconds === undefined) return name
    times.set(name, seconds)
  }
  const [exp, iat, nbf] = [times.get('exp'), times.get('iat'), times.get('nbf')]
  const { nowS } = expected
  if (exp === undefined || exp <= nowS - LEEWAY_S) return 'exp'
  if (iat === undefined && expected.needsIssuedAt) return 'no iat'
  if ((iat ?? 0) > nowS + LEEWAY_S || (nbf ?? 0) > nowS + LEEWAY_S) return 'ahead of us'
  if (exp <= (iat ?? 0) || exp <= (nbf ?? 0)) return 'never valid'
  if (exp - (iat ?? nowS) > expected.maxLifetimeS) return 'too long a life'
  if (iat !== undefined && nowS - iat > expected.maxAgeS + LEEWAY_S) return 'too old'
  const jti = claims.get('jti')
  if (jti === undefined ? expected.needsId : !isUsable(jti)) return 'jti'
  return undefined
}

/** Text that may stand in a record and on a terminal. */
export function isUsable(value: Read | undefined): value is string {
  return typeof value === 'string' && value !== '' && !/\p{Cc}/u.test(value)
}

/** Whole seconds between 1970 and the year 10000, however they are written. */
function secondsOf(value: Read): number | undefined {
  if (!isNumeral(value)) return undefined
  const seconds = Number(value.digits)
  return Number.isInteger(seconds) && seconds >= 0 && seconds < 253_402_300_800 ? seconds : undefined
}

export function isNumeral(value: Read | undefined): value is Numeral {
  return typeof value === 'object' && value !== null && 'digits' in value
}

/** A member of a member; undefined where one of them is no object. */
export function at(claims: Claims, ...path: readonly string[]): Read | undefined {
  let value: Read | undefined = claims as Map<string, Read>
  for (const name of path) value = value instanceof Map ? value.get(name) : undefined
  return value
}
