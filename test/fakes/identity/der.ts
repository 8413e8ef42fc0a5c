/** So much of DER (ITU-T X.690) as a timestamp token takes, and none of a library's. */
import { createHash, createPrivateKey, sign } from 'node:crypto'
import type { Certified } from './x509-certificates.ts'

const SEQUENCE = 0x30
const SET = 0x31
const OCTETS = 0x04
const OID = 0x06
const SHA256 = '2.16.840.1.101.3.4.2.1'
const ECDSA_SHA256 = '1.2.840.10045.4.3.2'
const SIGNED_DATA = '1.2.840.113549.1.7.2'
const TST_INFO = '1.2.840.113549.1.9.16.1.4'
const CONTENT_TYPE = '1.2.840.113549.1.9.3'
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4'

function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...head]), content])
}

/** A UTF8String. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(tlv(0x0c, Buffer.from(text)))
}

/** The elements inside a SEQUENCE, each with its tag and length. */
export function sequence(der: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = []
  for (let at = bodyOf(der).from; at < der.length; ) {
    const { to } = bodyOf(der.subarray(at))
    parts.push(der.subarray(at, at + to))
    at += to
  }
  return parts
}

function bodyOf(der: Uint8Array): { from: number; to: number } {
  const first = der[1]!
  const more = first < 128 ? 0 : first & 0x7f
  const length = more === 0 ? first : der.subarray(2, 2 + more).reduce((sum, byte) => sum * 256 + byte, 0)
  return { from: 2 + more, to: 2 + more + length }
}

/** In base 128, the first two numbers in one. */
function oidOf(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const bytes = [first * 40 + second, ...rest].flatMap(number => {
    const groups = [number % 128]
    for (let left = Math.floor(number / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left % 128) | 0x80)
    return groups
  })
  return tlv(OID, Buffer.from(bytes))
}

const algorithm = (id: string) => tlv(SEQUENCE, oidOf(id))
const integer = (...bytes: number[]) => tlv(0x02, Buffer.from(bytes))
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()

/** A granted response (RFC 3161 section 2.4.2) whose token says that `over` was there at `at` (epoch ms). */
export function timestampToken({ tsa, over, at }: { tsa: Certified; over: Uint8Array; at: number }): Buffer {
  const time = new Date(at).toISOString().replace(/[-:T]|\.\d+/g, '')
  const info = tlv(
    SEQUENCE,
    integer(1),
    oidOf('1.2.3.4'),
    tlv(SEQUENCE, algorithm(SHA256), tlv(OCTETS, sha256(over))),
    integer(5),
    tlv(0x18, Buffer.from(time)),
  )
  const attributes = [
    tlv(SEQUENCE, oidOf(CONTENT_TYPE), tlv(SET, oidOf(TST_INFO))),
    tlv(SEQUENCE, oidOf(MESSAGE_DIGEST), tlv(SET, tlv(OCTETS, sha256(info)))),
  ]
  const signature = sign('sha256', tlv(SET, ...attributes), createPrivateKey(tsa.keys.pem))
  const [tbs] = sequence(tsa.der)
  const [, serial, , issuer] = sequence(tbs!)
  const signer = tlv(
    SEQUENCE,
    integer(1),
    tlv(SEQUENCE, issuer!, serial!),
    algorithm(SHA256),
    tlv(0xa0, ...attributes),
    algorithm(ECDSA_SHA256),
    tlv(OCTETS, signature),
  )
  const signedData = tlv(
    SEQUENCE,
    integer(3),
    tlv(SET, algorithm(SHA256)),
    tlv(SEQUENCE, oidOf(TST_INFO), tlv(0xa0, tlv(OCTETS, info))),
    tlv(SET, signer),
  )
  return tlv(SEQUENCE, tlv(SEQUENCE, integer(0)), tlv(SEQUENCE, oidOf(SIGNED_DATA), tlv(0xa0, signedData)))
}
