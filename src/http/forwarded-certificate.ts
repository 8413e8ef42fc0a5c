/**
 * The client certificate of a connection that ended at a proxy of ours, as that proxy tells it in a header. Whoever
 * can write that header is whoever they want to be: it is taken from the proxy's addresses alone, once, and whole.
 */
import type { IncomingMessage } from 'node:http'
import type { BlockList } from 'node:net'
import { LIMITS } from '../limits.ts'
import { HttpRefusal } from './problem.ts'

export type ForwardedCertificate = {
  /** Lower case. */
  header: string
  chain_header?: string | undefined
  format: 'xfcc' | 'pem-urlencoded' | 'der-base64'
  from: BlockList
}

/**
 * @returns DER, leaf first; nothing where the client of the proxy showed none
 * @throws HttpRefusal where somebody else sent the header, or it is not one certificate and its chain
 */
export function forwardedCertificates(
  incoming: Pick<IncomingMessage, 'rawHeaders' | 'socket'>,
  how: ForwardedCertificate,
): readonly Uint8Array[] {
  const value = onlyValue(incoming, how.header)
  const chain = how.chain_header === undefined ? undefined : onlyValue(incoming, how.chain_header)
  if (value === undefined && chain === undefined) return []
  if (!isFrom(how.from, incoming.socket.remoteAddress))
    throw new HttpRefusal(400, `the header ${how.header} is taken from the configured proxy alone`)
  // Proxies send the header without a value where there was no certificate.
  const certificates = [value, chain].flatMap(text =>
    text === undefined || text === '' || text === '-' ? [] : READERS[how.format](text),
  )
  if (certificates.length > LIMITS.certificatesPerChain || certificates.some(der => der === undefined))
    throw new HttpRefusal(400, `the header ${how.header} is not a client certificate as ${how.format}`)
  return certificates.filter(der => der !== undefined)
}

function onlyValue({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>, name: string): string | undefined {
  const values = rawHeaders.filter(
    (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name,
  )
  if (values.length > 1) throw new HttpRefusal(400, `the header ${name} was sent twice`)
  return values[0]?.trim()
}

function isFrom(networks: BlockList, peer: string | undefined): boolean {
  if (peer === undefined) return false
  const plain = /^::ffff:(\d+(?:\.\d+){3})$/i.exec(peer)?.[1] ?? peer
  return networks.check(plain, plain.includes(':') ? 'ipv6' : 'ipv4')
}

type Read = (text: string) => readonly (Uint8Array | undefined)[]

const READERS: Readonly<Record<ForwardedCertificate['format'], Read>> = {
  xfcc: readXfcc,
  'pem-urlencoded': readEscapedPem,
  'der-base64': readDerList,
}

/**
 * Envoy's header holds one element for each proxy, of `Key=value` pairs; values with separators in them stand in
 * quotes. Only one proxy is ours, so there is one element. `Chain` has the leaf, too.
 */
function readXfcc(text: string): readonly (Uint8Array | undefined)[] {
  const pairs = new Map<string, string>()
  let rest = text
  while (rest !== '') {
    const [whole, key, quoted, bare] = XFCC_PAIR.exec(rest) ?? []
    if (whole === undefined || key === undefined) return [undefined]
    const name = key.toLowerCase()
    // Several SPIFFE IDs or DNS names are several pairs of one key.
    if (pairs.has(name) && name !== 'uri' && name !== 'dns') return [undefined]
    pairs.set(name, quoted?.replaceAll(/\\(.)/g, '$1') ?? bare ?? '')
    rest = rest.slice(whole.length)
    if (whole.endsWith(';') && rest === '') return [undefined]
  }
  const [leaf, chain] = [pairs.get('cert'), pairs.get('chain')]
  const certificates = readEscapedPem(chain ?? leaf ?? '')
  if (chain === undefined || leaf === undefined) return certificates
  const [first] = readEscapedPem(leaf)
  const isSame =
    first !== undefined && certificates[0] !== undefined && Buffer.compare(first, certificates[0]) === 0
  return isSame ? certificates : [undefined]
}

const XFCC_PAIR = /^([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;=]*))(?:;|$)/

function readEscapedPem(text: string): readonly (Uint8Array | undefined)[] {
  let pem: string
  try {
    // A plus sign stands for itself: AWS's load balancers leave it as it is.
    pem = decodeURIComponent(text)
  } catch {
    return [undefined]
  }
  const blocks = pem.split('-----BEGIN CERTIFICATE-----').map(block => block.trim())
  if (blocks.shift() !== '' || blocks.length === 0) return [undefined]
  return blocks.map(block => {
    const [body = '', after] = block.split('-----END CERTIFICATE-----')
    return after?.trim() === '' ? fromBase64(body.replaceAll(/\s/g, '')) : undefined
  })
}

/** One after another with commas; as in RFC 9440 each between colons, or not. */
function readDerList(text: string): readonly (Uint8Array | undefined)[] {
  return text.split(',').map(item => fromBase64(item.trim().replace(/^:(.*):$/, '$1')))
}

function fromBase64(text: string): Uint8Array | undefined {
  return BASE64.test(text) ? new Uint8Array(Buffer.from(text, 'base64')) : undefined
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$|^[A-Za-z0-9+/]{2}==$/
