/** Checks an App's JWT as GitHub does: RS256 with the App's key, a numeric `iat` and `exp`, at most ten minutes. */
import { verify } from 'node:crypto'
import { GithubRefusal } from './answer.ts'
import type { AppRecord, GithubState } from './state.ts'

const longestLifeSeconds = 600
const iatSkewSeconds = 60
const base64url = /^[\w-]+$/

/**
 * @param jwt compact serialisation
 * @returns the App that signed it
 * @throws GithubRefusal 401 with GitHub's words; 404 when no App has that id
 */
export function verifyAppJwt(state: GithubState, jwt: string): AppRecord {
  const [header, payload, signature, ...rest] = jwt.split('.')
  if (header === undefined || payload === undefined || signature === undefined || rest.length > 0)
    throw undecodable()
  if (parseSegment(header).alg !== 'RS256') throw undecodable()
  const claims = parseSegment(payload)
  if (!base64url.test(signature)) throw undecodable()
  const app = appOfIssuer(state, claims.iss)
  const signed = Buffer.from(`${header}.${payload}`)
  if (!verify('RSA-SHA256', signed, app.publicKey, Buffer.from(signature, 'base64url'))) throw undecodable()
  checkTimes(claims, Math.floor(state.now() / 1000))
  return app
}

/** `iss` is the client id, or the App's id as a number or a numeric string. */
function appOfIssuer(state: GithubState, issuer: unknown): AppRecord {
  if (typeof issuer !== 'string' && typeof issuer !== 'number') {
    throw unauthorized("Missing 'issuer' claim ('iss') in assertion")
  }
  const app = [...state.apps.values()].find(
    ({ appId, clientId }) => clientId === issuer || String(appId) === String(issuer),
  )
  if (app === undefined) throw new GithubRefusal(404, 'Integration not found')
  return app
}

function checkTimes({ exp, iat }: Record<string, unknown>, nowSeconds: number): void {
  const expMessage = "'Expiration time' claim ('exp')"
  if (typeof exp !== 'number' || exp <= nowSeconds) {
    throw unauthorized(
      `${expMessage} must be a numeric value representing the future time at which the assertion expires`,
    )
  }
  if (!Number.isInteger(iat) || (iat as number) > nowSeconds + iatSkewSeconds) {
    throw unauthorized(
      "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
    )
  }
  // Measured from now, not from `iat`: GitHub's own example dates `iat` a minute back and still takes ten.
  if (exp > nowSeconds + longestLifeSeconds) throw unauthorized(`${expMessage} is too far in the future`)
}

function parseSegment(segment: string): Record<string, unknown> {
  if (!base64url.test(segment)) throw undecodable()
  try {
    const value: unknown = JSON.parse(Buffer.from(segment, 'base64url').toString('utf8'))
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Not JSON: refused below, as anything else that is not an object.
  }
  throw undecodable()
}

const unauthorized = (message: string) => new GithubRefusal(401, message)
const undecodable = () => unauthorized('A JSON web token could not be decoded')
