import { Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import type { SigningKeys } from '../keys/signing-keys.ts'
import type { Env } from './guard.ts'

/** The issuer of what Mayfly signs to be recognised at AWS: not the one that signs for tasks. */
export function webIdentityIssuer(publicUrl: string): string {
  return `${publicUrl}/aws`
}

/** OpenID Connect Discovery 1.0 and the key set of that issuer: all that an IAM OIDC provider reads. */
export function webIdentityRoutes(broker: Broker, publicUrl: string, keys: SigningKeys): Hono<Env> {
  const routes = new Hono<Env>()
  const issuer = webIdentityIssuer(publicUrl)
  const metadata = {
    issuer,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    claims_supported: ['iss', 'sub', 'aud', 'iat', 'exp', 'jti'],
  }
  const maxAge = `public, max-age=${broker.limits.keySetMaxAgeSeconds}`
  routes.get('/openid-configuration', c => c.json(metadata, 200, { 'cache-control': maxAge }))
  routes.get('/jwks.json', c => c.json(keys.jwks(), 200, { 'cache-control': maxAge }))
  return routes
}
