/** Other ways to write a token that careless verifiers take for the same one. */
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** Order of P-256 (FIPS 186-5). */
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

/** Padding, white space, the standard alphabet and unused low bits, in every segment where they are possible. */
export function spellingsOf(token: string): string[] {
  const segments = token.split('.')
  const variants = [
    `${token}=`,
    `${token}==`,
    ` ${token}`,
    `${token} `,
    `${token}\n`,
    `${token}\t`,
    `${token}.`,
  ]
  segments.forEach((segment, at) => {
    const replace = (text: string) => segments.with(at, text).join('.')
    variants.push(replace(`${segment}=`), replace(`${segment.slice(0, 4)} ${segment.slice(4)}`))
    variants.push(replace(`${segment.slice(0, 4)}\n${segment.slice(4)}`))
    for (const tail of twinTails(segment)) variants.push(replace(segment.slice(0, -1) + tail))
  })
  variants.push(token.replaceAll('-', '+').replaceAll('_', '/'))
  return variants.filter(variant => variant !== token)
}

/** The ES256 signature (r, n - s), which verifies wherever (r, s) does. */
export function ecdsaTwinOf(token: string): string {
  const [header, payload, signature = ''] = token.split('.')
  const bytes = Buffer.from(signature, 'base64url')
  const s = BigInt(`0x${bytes.subarray(32).toString('hex')}`)
  const twin = Buffer.from((P256_ORDER - s).toString(16).padStart(64, '0'), 'hex')
  return `${header}.${payload}.${Buffer.concat([bytes.subarray(0, 32), twin]).toString('base64url')}`
}

/** Last characters that decode to the same bytes as the given segment's. */
function twinTails(segment: string): string[] {
  const bytes = Buffer.from(segment, 'base64url')
  const last = segment.at(-1)
  return [...BASE64URL].filter(
    tail => tail !== last && Buffer.from(segment.slice(0, -1) + tail, 'base64url').equals(bytes),
  )
}
