/** The chain that a client authenticated its connection with; it is vouched for by nobody yet. */
import type { TLSSocket } from 'node:tls'
import type { Context, MiddlewareHandler } from 'hono'
import type { CertificateEvidence } from '../../attestors/attestor.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { LIMITS } from '../limits.ts'
import { type ForwardedCertificate, forwardedCertificates } from './forwarded-certificate.ts'
import type { Env } from './guard.ts'

/** DER, leaf first; empty where the client showed none. */
export function clientCertificates(c: Context<Env>): readonly Uint8Array[] {
  return c.get('forwardedCertificates') ?? certificatesOf(c.env.incoming.socket as Partial<TLSSocket>)
}

/** The same as evidence. @throws BrokerError where there is none: of a code that fits the endpoint */
export function certificateEvidence(
  c: Context<Env>,
  code: 'request_invalid' | 'unauthenticated' = 'request_invalid',
): CertificateEvidence {
  const chain = clientCertificates(c)
  if (chain.length > 0) return { type: 'certificates', chain }
  throw new BrokerError(
    code,
    'the connection shows no client certificate: connect with one, where certificates are asked for ' +
      '(mtls_endpoint_aliases in /.well-known/oauth-authorization-server)',
  )
}

/**
 * Where a proxy ends TLS, its word is all that there is of a client's certificate: one of the connection between the
 * proxy and the broker is the proxy's own.
 */
export function identifyCertificate(forwarded: ForwardedCertificate): MiddlewareHandler<Env> {
  return async function certificate(c, next) {
    c.set('forwardedCertificates', forwardedCertificates(c.env.incoming, forwarded))
    await next()
  }
}

function certificatesOf(socket: Partial<TLSSocket>): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  for (
    let certificate = socket.getPeerX509Certificate?.();
    certificate !== undefined && chain.length < LIMITS.certificatesPerChain;
    certificate = certificate.issuerCertificate
  )
    chain.push(certificate.raw)
  return chain
}
