/** In the place of a signature. */
export const FAKE = '.simulated'

/** A signature in form only: the same content, the same token. Real ones have their own tests. */
export function fakeSignature(typ: string, claims: Readonly<Record<string, unknown>>): string {
  const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${segment({ alg: 'none', typ })}.${segment(claims)}${FAKE}`
}

export function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}
