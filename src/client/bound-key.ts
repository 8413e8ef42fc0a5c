/**
 * Requests that are signed by a key of this process (DPoP, RFC 9449): a task that is opened so is of no use to whoever
 * copies its token, or the workload's evidence.
 */
import type { World } from './world.ts'

/** ES256. A key of this process alone is made not extractable. */
export type BoundKeyPair = { privateKey: Key; publicKey: Key }
type Key = Parameters<typeof crypto.subtle.sign>[1]

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const

/**
 * What goes to this broker carries a proof; everything else goes as it is. A nonce that the broker asks for is taken,
 * and the request sent once more: until then it changed nothing.
 *
 * @param given made at the first call where it is absent
 */
export function signingFetch(
  { fetch, now }: Pick<World, 'fetch' | 'now'>,
  broker: string,
  given?: BoundKeyPair,
): World['fetch'] {
  let nonce: string | undefined
  let made: Promise<BoundKeyPair> | undefined
  const keys = () => {
    made ??=
      given === undefined ? crypto.subtle.generateKey(ALGORITHM, false, ['sign']) : Promise.resolve(given)
    return made
  }

  async function send(url: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers)
    const token = /^(?:Bearer|DPoP) (.+)$/.exec(headers.get('authorization') ?? '')?.[1]
    if (token !== undefined) headers.set('authorization', `DPoP ${token}`)
    const claims = {
      jti: crypto.randomUUID(),
      htm: init.method ?? 'GET',
      htu: url.replace(/[?#].*$/, ''),
      iat: Math.floor(now() / 1_000),
      ...(nonce === undefined ? {} : { nonce }),
      ...(token === undefined ? {} : { ath: await sha256(token) }),
    }
    headers.set('dpop', await proof(await keys(), claims))
    const response = await fetch(url, { ...init, headers })
    nonce = response.headers.get('dpop-nonce') ?? nonce
    return response
  }

  return async (input, init = {}) => {
    const url = String(input instanceof Request ? input.url : input)
    if (!url.startsWith(`${broker}/`)) return fetch(input, init)
    const before = nonce
    const response = await send(url, init)
    const asksForNonce = /error="use_dpop_nonce"/.test(response.headers.get('www-authenticate') ?? '')
    if (!asksForNonce || nonce === before) return response
    await response.body?.cancel()
    return send(url, init)
  }
}

async function proof({ privateKey, publicKey }: BoundKeyPair, claims: object): Promise<string> {
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey)
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }
  const input = [header, claims].map(part => base64url(utf8(JSON.stringify(part)))).join('.')
  const signature = await crypto.subtle.sign(SIGNATURE, privateKey, utf8(input))
  return `${input}.${base64url(new Uint8Array(signature))}`
}

async function sha256(text: string): Promise<string> {
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', utf8(text))))
}

const utf8 = (text: string) => new TextEncoder().encode(text)

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')
}
