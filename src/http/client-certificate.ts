import type { TLSSocket } from 'node:tls'
import type { Context } from 'hono'
import type { Env } from './guard.ts'

/** The chain that the client authenticated this connection with, DER, leaf first; it is vouched for by nobody yet. */
export function clientCertificates(c: Context<Env>): readonly Uint8Array[] {
  const socket = c.env.incoming.socket as Partial<TLSSocket>
  const chain: Uint8Array[] = []
  for (
    let certificate = socket.getPeerX509Certificate?.();
    certificate !== undefined && chain.length < MAX_CHAIN;
    certificate = certificate.issuerCertificate
  )
    chain.push(certificate.raw)
  return chain
}

const MAX_CHAIN = 8
