/**
 * The broker's own X.509-SVID as a listener's certificate: streamed by the SPIFFE Workload API, put in force for new
 * connections as it is renewed, and kept in memory alone.
 *
 * Where the agent is gone, or knows this broker no more, the last one is used until it expires: tasks have to be
 * ended all the same, and whoever connects judges it by the bundle.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { AttestorDeps } from '../../attestors/attestor.ts'
import { splitDer } from '../../attestors/shared/workload-bundles.ts'
import { createFeed } from '../../attestors/shared/workload-feed.ts'
import type { Log } from '../broker/broker.ts'
import { checkTls, type Tls } from './listen.ts'

export type WorkloadCertificate = {
  /** Resolves when one is in force, or when it is known that there is none for now. Never rejects. */
  begun(): Promise<void>
  /** Why connections cannot be taken; undefined: they can. */
  notReady(): string | undefined
  close(): void
}

type Own = { tls: Tls; spiffeId: string; notAfter: number }

export function followWorkloadCertificate(
  { socket, spiffeId }: { socket: string; spiffeId: string | undefined },
  use: (tls: Tls) => void,
  { log, ...deps }: Pick<AttestorDeps, 'now' | 'schedule' | 'jitter'> & { log: Log },
): WorkloadCertificate {
  let inForce: Own | undefined
  let told: string | undefined
  const read = (message: unknown, before: Own | undefined) => readOwn(message, spiffeId, before, deps.now())
  const feed = createFeed({ socket, method: 'FetchX509SVID' }, read, deps, () => void take())

  async function take(): Promise<void> {
    const { value, failure } = await feed.look()
    if (failure !== undefined && failure !== told)
      log.warn({ reason: failure }, 'no newer certificate of our own')
    told = failure
    if (value === undefined || value === inForce) return
    inForce = value
    use(value.tls)
    const expires = new Date(value.notAfter).toISOString()
    log.info({ spiffe_id: value.spiffeId, expires }, 'a certificate of our own is in force')
  }

  return {
    begun: take,
    notReady() {
      if (inForce === undefined) return 'there is no certificate from the Workload API yet'
      return inForce.notAfter <= deps.now() ? 'the certificate from the Workload API has expired' : undefined
    },
    close: feed.close,
  }
}

/**
 * The one that is wanted, or the first, which is the default (Workload API section 5.3).
 *
 * @throws Error where there is none that can be used
 */
function readOwn(message: unknown, wanted: string | undefined, before: Own | undefined, nowMs: number): Own {
  const { svids = [] } = message as { svids?: readonly Svid[] }
  const svid = wanted === undefined ? svids[0] : svids.find(one => one.spiffe_id === wanted)
  if (svid === undefined) throw new Error(`the Workload API has no X.509-SVID ${wanted ?? 'for this broker'}`)
  const [leaf, ...above] = splitDer(svid.x509_svid).map(der => new X509Certificate(der))
  const key = createPrivateKey({ key: Buffer.from(svid.x509_svid_key), format: 'der', type: 'pkcs8' })
  // An SVID has one URI; DNS names may stand beside it (X509-SVID section 2).
  if (leaf?.subjectAltName?.split(', ').includes(`URI:${svid.spiffe_id}`) !== true)
    throw new Error('the X.509-SVID of the Workload API does not name its SPIFFE ID')
  if (leaf.validToDate.getTime() <= nowMs) throw new Error('the X.509-SVID of the Workload API has expired')
  const cert = [leaf, ...above].map(certificate => certificate.toString()).join('')
  if (cert === before?.tls.cert) return before
  const tls = { cert, key: key.export({ format: 'pem', type: 'pkcs8' }).toString() }
  checkTls(tls)
  return { tls, spiffeId: svid.spiffe_id, notAfter: leaf.validToDate.getTime() }
}

/** As the proto has it: DER, PKCS #8. */
type Svid = { spiffe_id: string; x509_svid: Uint8Array; x509_svid_key: Uint8Array }
