import { describe, expect, test } from 'vitest'
import { readCertificate } from '../../../attestors/shared/x509-certificate.ts'
import { elementsIn, isDer } from '../../../attestors/shared/x509-der.ts'
import { createSpiffeX509Authority } from '../../fakes/identity/spiffe-x509-authority.ts'
import { NOON } from '../issuer-subject.ts'

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const long = (length: number, head: string) => bytes(head + '00'.repeat(length))

describe('DER', () => {
  test.each([
    ['an empty sequence', '30 00'],
    ['a sequence of two', '30 06 02 01 05 01 01 ff'],
    ['zero, and a number with its top bit set', '30 07 02 01 00 02 02 00 80'],
    ['minus one', '02 01 ff'],
    ['bits, some unused', '03 02 03 a8'],
    ['no bits', '03 01 00'],
    ['an object identifier', '06 03 55 1d 0f'],
    ['one of several bytes a part', '06 06 2a 86 48 86 f7 0d'],
    ['explicit and implicit tags', 'a0 03 02 01 02'],
  ])('is %s', (_what, hex) => {
    expect(isDer(bytes(hex))).toBe(true)
  })

  test('is a length of more than one byte, where it has to be', () => {
    expect(isDer(long(128, '04 81 80'))).toBe(true)
    expect(isDer(long(256, '04 82 01 00'))).toBe(true)
  })

  test.each([
    ['nothing', ''],
    ['a tag alone', '30'],
    ['something behind it', '30 00 00'],
    ['two elements', '02 01 05 02 01 05'],
    ['less than it says', '30 03 02 01'],
    ['an inner one that is longer than the outer', '30 03 02 02 05'],
    ['a length without end', '30 80 02 01 05 00 00'],
    ['a long length for a short one', '04 81 01 00'],
    ['a length with a leading zero', `04 82 00 80 ${'00'.repeat(128)}`],
    ['a length of five bytes', '04 85 00 00 00 00 01 00'],
    ['a tag of more than one byte', '1f 81 00 00'],
    ['text in pieces', '24 03 04 01 61'],
    ['a sequence that says that it has no parts', '10 00'],
    ['the end of contents', '00 00'],
    ['a truth that is neither', '01 01 01'],
    ['an empty truth', '01 00'],
    ['a number with a byte to spare', '02 02 00 05'],
    ['a negative one with a byte to spare', '02 02 ff 80'],
    ['no number', '02 00'],
    ['unused bits that are set', '03 02 03 af'],
    ['eight unused bits', '03 02 08 00'],
    ['unused bits of nothing', '03 01 01'],
    ['a null of something', '05 01 00'],
    ['an object identifier that does not end', '06 02 55 9d'],
    ['one with padding', '06 03 55 80 01'],
    ['an empty one', '06 00'],
  ])('is not %s', (_what, hex) => {
    expect(isDer(bytes(hex))).toBe(false)
  })

  test('is neither deep nor endless', () => {
    const nested = (depth: number): Buffer => (depth === 0 ? Buffer.of(0x30, 0) : wrapped(nested(depth - 1)))
    expect(isDer(nested(20))).toBe(true)
    expect(isDer(nested(40))).toBe(false)
    const many = Buffer.concat(Array.from({ length: 5_000 }, () => Buffer.of(0x05, 0)))
    expect(isDer(wrapped(many))).toBe(false)
    expect(elementsIn(many)).toHaveLength(5_000)
  })
})

describe('a certificate', () => {
  test.each<[string, (der: Buffer) => Buffer]>([
    ['of version 1', der => replaced(der, 'a0 03 02 01 02', 'a0 03 02 01 00')],
    ['of version 4', der => replaced(der, 'a0 03 02 01 02', 'a0 03 02 01 03')],
    ['that names two algorithms', der => replaced(der, '2a 86 48 ce 3d 04 03 02', '2a 86 48 ce 3d 04 03 03')],
    ['whose period ends before it begins', der => replaced(der, '32 36 31 31 32 31', '32 37 31 31 32 31')],
    ['with something behind it', der => Buffer.concat([der, Buffer.of(0)])],
    [
      'in PEM',
      der => Buffer.from(`-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----`),
    ],
    ['that is only a sequence', () => Buffer.from(bytes('30 00'))],
    ['of other parts', () => Buffer.from(bytes('30 09 30 00 30 00 03 03 00 00 00'))],
    ['that is too large', der => Buffer.concat([der, Buffer.alloc(40_000)])],
  ])('%s is malformed', async (_what, change) => {
    const authority = await createSpiffeX509Authority({ trustDomain: 'acme.test', now: () => NOON })
    const { chain } = await authority.issue('/a')
    expect(readCertificate(chain[0]!)).toMatchObject({ ok: true })
    expect(readCertificate(change(Buffer.from(chain[0]!)))).toMatchObject({ rejection: 'malformed' })
  })
})

/** The first time that it stands there. */
function replaced(der: Buffer, from: string, to: string): Buffer {
  const at = der.indexOf(bytes(from))
  if (at === -1) throw new Error('it does not stand there')
  return Buffer.concat([der.subarray(0, at), bytes(to), der.subarray(at + bytes(from).length)])
}

function wrapped(content: Buffer): Buffer {
  const { length } = content
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(0x30, ...head), content])
}
