import { Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { sharedIssuers } from '../broker/credentials/lease-plan.ts'
import type { SigningKeys } from '../keys/signing-keys.ts'
import type { Env } from './guard.ts'
import { JWT_BEARER } from './oauth-assertion.ts'
import { CLIENT_CREDENTIALS } from './oauth-certificate.ts'
import { TOKEN_EXCHANGE } from './oauth-exchange.ts'

/** What verifiers need, one key set for each purpose. */
export type PublishedKeys = { keys: SigningKeys; receiptKeys: SigningKeys; webIdentityKeys: SigningKeys }

/** That clients may have certificates, and what they call the listener that asks for them, if it is one of its own. */
export type CertificateUse = { listener: string | undefined }

/** RFC 8705 sections 3.3 and 5. */
function certificateMetadata({ listener }: CertificateUse) {
  return {
    tls_client_certificate_bound_access_tokens: true,
    ...(listener === undefined
      ? {}
      : {
          mtls_endpoint_aliases: {
            token_endpoint: `${listener}/oauth/token`,
            revocation_endpoint: `${listener}/oauth/revoke`,
            // Not in any registry: where tasks are opened and kept.
            mayfly_tasks_endpoint: `${listener}/v1/tasks`,
          },
        }),
  }
}

/** Discovery (OpenID Connect Discovery 1.0, RFC 8414), and the key sets for what Mayfly signs for tasks and of tasks. */
export function wellKnownRoutes(
  broker: Broker,
  publicUrl: string,
  { keys, receiptKeys, certificates }: PublishedKeys & { certificates?: CertificateUse | undefined },
): Hono<Env> {
  const routes = new Hono<Env>()
  const metadata = () => ({
    issuer: publicUrl,
    token_endpoint: `${publicUrl}/oauth/token`,
    introspection_endpoint: `${publicUrl}/oauth/introspect`,
    revocation_endpoint: `${publicUrl}/oauth/revoke`,
    jwks_uri: `${publicUrl}/.well-known/jwks.json`,
    // Not in any registry: where the keys of receipts are, see docs/receipts.md.
    mayfly_receipt_jwks_uri: `${publicUrl}/.well-known/receipt-jwks.json`,
    grant_types_supported: [TOKEN_EXCHANGE, JWT_BEARER, ...(certificates ? [CLIENT_CREDENTIALS] : [])],
    response_types_supported: [],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    token_endpoint_auth_methods_supported: ['none', ...(certificates ? ['tls_client_auth'] : [])],
    introspection_endpoint_auth_methods_supported: ['client_secret_basic'],
    revocation_endpoint_auth_methods_supported: ['none'],
    authorization_details_types_supported: sharedIssuers(broker),
    ...(certificates && certificateMetadata(certificates)),
  })
  const maxAge = `public, max-age=${broker.limits.keySetMaxAgeSeconds}`
  for (const path of ['/openid-configuration', '/oauth-authorization-server'])
    routes.get(path, c => c.json(metadata(), 200, { 'cache-control': maxAge }))
  routes.get('/jwks.json', c => c.json(keys.jwks(), 200, { 'cache-control': maxAge }))
  routes.get('/receipt-jwks.json', c => c.json(receiptKeys.jwks(), 200, { 'cache-control': maxAge }))
  return routes
}
