/** Where the broker listens, and what stands in front of it. Keys keep their names from file to code. */
import { BlockList, isIP } from 'node:net'
import { z } from 'zod'
import { parseWorkloadId } from '../../attestors/shared/spiffe-id.ts'
import { workloadSocket } from '../../attestors/shared/workload-socket.ts'
import { LIMITS } from '../limits.ts'
import { pathShape, wholeNumber } from './shapes.ts'

const hostShape = z.string().min(1, 'expected an address to listen on').max(253)
/** 0: any free port. */
const portShape = wholeNumber(0, 65_535, 'a port')
const tlsShape = z.union([
  z.strictObject({ cert_file: pathShape, key_file: pathShape }),
  /** The broker's own X.509-SVID, as its host's SPIFFE agent gives and renews it. */
  z.strictObject({
    workload_api: z.strictObject({
      /** An absolute path. Absent: what `SPIFFE_ENDPOINT_SOCKET` says. */
      socket: workloadSocket.optional(),
      /** Where the broker has more than one. Absent: the first. */
      spiffe_id: z
        .string()
        .refine(text => parseWorkloadId(text).ok, 'expected a SPIFFE ID, as spiffe://example.org/mayfly')
        .optional(),
    }),
  }),
])
export type TlsSettings = z.infer<typeof tlsShape>

const headerShape = z
  .string()
  .max(64)
  .regex(/^[A-Za-z][A-Za-z0-9-]*$/, 'expected the name of a header')
  .transform(name => name.toLowerCase())
  .refine(name => !STANDARD_HEADERS.has(name), 'expected a header that means nothing else')

const STANDARD_HEADERS: ReadonlySet<string> = new Set([
  ...['authorization', 'connection', 'content-length', 'content-type', 'cookie', 'dpop', 'host'],
  ...['idempotency-key', 'prefer', 'transfer-encoding', 'x-forwarded-for'],
])

/** An address, or a network as `10.1.0.0/16`. */
const networkShape = z.string().max(64).refine(isNetwork, 'expected an address, or a network as 10.1.0.0/16')

/** Where the proxy that ends TLS says what certificate its client authenticated with. */
const clientCertificateShape = z.strictObject({
  /** Taken out of what clients send by the proxy, always. */
  header: headerShape,
  /** The others of the chain, where they come in a header of their own (RFC 9440). */
  chain_header: headerShape.optional(),
  /**
   * `xfcc`: Envoy's X-Forwarded-Client-Cert. `pem-urlencoded`: nginx, AWS's load balancers. `der-base64`: RFC 9440's
   * Client-Cert, HAProxy, Traefik.
   */
  format: z.enum(['xfcc', 'pem-urlencoded', 'der-base64']),
  /** From where that proxy connects: from everywhere else the header is refused. */
  from: z.array(networkShape).min(1).max(LIMITS.proxyNetworks),
})

export const listenShape = z
  .strictObject({
    /** An address, or `localhost`. */
    host: hostShape,
    port: portShape,
    tls: tlsShape.optional(),
    /** How many proxies of our own are in front; their `X-Forwarded-For` entries are believed, no others. */
    behind_proxy: z
      .strictObject({
        hops: wholeNumber(1, LIMITS.proxyHops, 'proxies'),
        client_certificate: clientCertificateShape.optional(),
      })
      .optional(),
  })
  .superRefine((listen, context) => {
    if (isLoopback(listen.host) || listen.tls !== undefined || listen.behind_proxy !== undefined) return
    context.addIssue({
      code: 'custom',
      path: ['host'],
      message: 'expected a loopback address: tokens would cross the network in the clear',
      params: { remedy: 'Listen on 127.0.0.1, set tls, or set behind_proxy where a proxy of yours ends TLS' },
    })
  })

/** Issuer and base of URLs: scheme, host and port, as clients write it. */
export const originShape = z.string().superRefine((text, context) => {
  const refuse = (message: string, remedy: string) =>
    context.addIssue({ code: 'custom', message, params: { remedy } })
  const url = URL.parse(text)
  if (url === null) return refuse('expected a URL', 'Write it like https://mayfly.example.com')
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) {
    return refuse('expected https (http only on loopback)', 'Set the https URL that clients use')
  }
  // Tokens carry this text as `iss` and verifiers compare it character by character.
  if (url.origin !== text) {
    refuse('expected scheme, host and port only, in normal form', `Write it like ${url.origin}`)
  }
})

/** The same endpoints for workloads once more, where connections are asked for a client certificate. */
export const mtlsListenShape = z.strictObject({
  ...{ host: hostShape, port: portShape, tls: tlsShape },
  /** What clients call it: the `mtls_endpoint_aliases` of the metadata (RFC 8705 section 5) begin with it. */
  public_url: originShape.refine(text => text.startsWith('https:'), 'expected https'),
})

/** A proxy tells of workloads' certificates; humans have none. */
export function refuseOperatorsCertificates(
  { operator_listen: operators }: { operator_listen?: z.infer<typeof listenShape> | undefined },
  context: z.RefinementCtx,
): void {
  if (operators?.behind_proxy?.client_certificate === undefined) return
  context.addIssue({
    ...{ code: 'custom', path: ['operator_listen', 'behind_proxy', 'client_certificate'] },
    message: 'expected none: operators do not authenticate by certificates',
    params: { remedy: 'Set it under listen' },
  })
}

/** Host as in settings or as in `URL.hostname`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)
}

function isNetwork(text: string): boolean {
  const [address = '', prefix, more] = text.split('/')
  const family = isIP(address)
  if (family === 0 || more !== undefined) return false
  if (prefix === undefined) return true
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128)
}

/** @param networks as {@link listenShape} has taken them */
export function networkList(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return list
}
