/** A certificate authority of X.509 (RFC 5280), no larger than mutual TLS in tests needs: P-256, one level. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

export type Certified = { certificate: string; key: string }

export type Validity = {
  /** Epoch ms. */
  from: number
  until: number
}

export type CertificateAuthority = {
  /** PEM of its own certificate. */
  certificate: string
  /** For a server at 127.0.0.1 and `dnsName`, and for a client named `name`. */
  issue(name: string, validity?: Validity, dnsName?: string): Certified
}

export function createAuthority(name: string, valid: Validity, random: (bytes: number) => Uint8Array) {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const keyId = createHash('sha1').update(spki(own.publicKey)).digest()
  const make = (subject: string, publicKey: KeyObject, validity: Validity, extensions: Uint8Array[]) =>
    signed(
      sequence(
        explicit(0, integer(Uint8Array.of(2))),
        integer(Uint8Array.of(0x2a, ...random(12))),
        ECDSA_SHA256,
        nameOf(name),
        sequence(time(validity.from), time(validity.until)),
        nameOf(subject),
        spki(publicKey),
        explicit(3, sequence(...extensions)),
      ),
      own.privateKey,
    )
  const authority: CertificateAuthority = {
    certificate: make(name, own.publicKey, valid, [
      extension('55 1d 13', true, sequence(Uint8Array.of(0x01, 0x01, 0xff))),
      extension('55 1d 0f', true, Uint8Array.of(0x03, 0x02, 0x01, 0x06)),
      extension('55 1d 0e', false, tagged(0x04, keyId)),
    ]),
    issue(subject, validity = valid, dnsName = 'issuer.test') {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const names = sequence(
        tagged(0x82, Buffer.from(dnsName, 'latin1')),
        tagged(0x87, Uint8Array.of(127, 0, 0, 1)),
      )
      return {
        certificate: make(subject, publicKey, validity, [
          extension('55 1d 13', true, sequence()),
          extension('55 1d 11', false, names),
          extension('55 1d 23', false, sequence(tagged(0x80, keyId))),
        ]),
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      }
    },
  }
  return authority
}

/** ecdsa-with-SHA256, RFC 5758 section 3.2. */
const ECDSA_SHA256 = sequence(oid('2a 86 48 ce 3d 04 03 02'))

function signed(body: Uint8Array, key: KeyObject): string {
  const signature = sign('sha256', body, key)
  const der = sequence(body, ECDSA_SHA256, tagged(0x03, Uint8Array.of(0, ...signature)))
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

const spki = (key: KeyObject): Uint8Array => key.export({ type: 'spki', format: 'der' })

/** One relative name: commonName. */
function nameOf(text: string): Uint8Array {
  const common = sequence(oid('55 04 03'), tagged(0x0c, Buffer.from(text, 'utf8')))
  return sequence(tagged(0x31, common))
}

function extension(id: string, critical: boolean, value: Uint8Array): Uint8Array {
  const flag = critical ? [Uint8Array.of(0x01, 0x01, 0xff)] : []
  return sequence(oid(id), ...flag, tagged(0x04, value))
}

/** UTCTime: until 2049, and that is enough. */
function time(ms: number): Uint8Array {
  const digits = new Date(ms).toISOString().replace(/\D/g, '').slice(2, 14)
  return tagged(0x17, Buffer.from(`${digits}Z`, 'latin1'))
}

function integer(bytes: Uint8Array): Uint8Array {
  return tagged(0x02, bytes)
}

function oid(hex: string): Uint8Array {
  return tagged(0x06, Buffer.from(hex.replaceAll(' ', ''), 'hex'))
}

function explicit(number: number, value: Uint8Array): Uint8Array {
  return tagged(0xa0 + number, value)
}

function sequence(...parts: Uint8Array[]): Uint8Array {
  return tagged(0x30, Buffer.concat(parts))
}

/** DER: tag, length, value. */
function tagged(tag: number, value: Uint8Array): Uint8Array {
  const { length } = value
  if (length < 0x80) return Uint8Array.of(tag, length, ...value)
  const bytes = length < 0x100 ? [length] : [length >> 8, length & 0xff]
  return Uint8Array.of(tag, 0x80 + bytes.length, ...bytes, ...value)
}
