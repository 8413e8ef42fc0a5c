/** Client certificates as a proxy in front tells of them: who is believed, and what is read. */
import type { IncomingMessage } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { networkList } from '../../src/config/listen.ts'
import { type ForwardedCertificate, forwardedCertificates } from '../../src/http/forwarded-certificate.ts'
import type { Svid } from '../fakes/identity/spiffe-x509-authority.ts'
import { asks } from '../fakes/installation.ts'
import { type Certified, createCertified } from '../support/certified.ts'

const PROXY = '127.0.0.2'
const HEADER = 'X-Forwarded-Client-Cert'

let certified: Certified
let coder: Svid
let bound: Svid

beforeAll(async () => {
  const client_certificate = { header: HEADER, format: 'xfcc', from: [PROXY, '10.1.0.0/16'] }
  certified = await createCertified({ behind_proxy: { hops: 1, client_certificate } })
  coder = await certified.authority.issue('/agent/coder')
  bound = await certified.authority.issue('/agent/bound')
})
afterAll(() => certified?.close())

const xfcc = ({ cert }: Pick<Svid, 'cert'>) =>
  `By=spiffe://acme.test/proxy;Cert="${encodeURIComponent(cert)}"`
const opening = {
  ...{ evidence: { type: 'client_certificate' }, purpose: 'writes' },
  authorization_details: [asks.orders],
}

/** On the first listener. */
function call(path: string, how: Parameters<Certified['call']>[1] = {}) {
  return certified.call(path, { from: PROXY, url: certified.broker.url, ...how })
}
const open = (headers: Record<string, string | readonly string[]> = {}, from = PROXY) =>
  call('/v1/tasks', { body: opening, headers, from })

describe('through the port', () => {
  test('the proxy is believed, and the chain is judged here', async () => {
    expect((await open({ [HEADER]: xfcc(coder) })).status).toBe(201)
    const other = await certified.authority.authority({ name: 'CN=another' })
    const forged = await certified.authority.issue('/agent/coder', { issuer: other })
    expect((await open({ [HEADER]: xfcc(forged) })).status).toBe(401)
  })

  test('nobody else is, whatever they ask for', async () => {
    const headers = { [HEADER]: xfcc(coder) }
    for (const from of ['127.0.0.1', '127.0.0.3']) {
      const answer = await open(headers, from)
      expect([answer.status, answer.body.detail]).toEqual([
        400,
        `the header ${HEADER.toLowerCase()} is taken from the configured proxy alone`,
      ])
      expect((await call('/livez', { method: 'GET', headers, from })).status).toBe(400)
      expect((await call('/livez', { method: 'GET', from })).status).toBe(200)
    }
  })

  test('said twice it is refused, as two headers and as two elements', async () => {
    const twice = [xfcc(bound), xfcc(coder)]
    expect((await open({ [HEADER]: twice })).status).toBe(400)
    expect((await open({ [HEADER]: twice.join(',') })).status).toBe(400)
  })

  test('without a certificate there is none', async () => {
    for (const headers of [{}, { [HEADER]: '' }]) {
      const answer = await open(headers)
      expect([answer.status, answer.body.code]).toEqual([400, 'request_invalid'])
      expect(answer.body.detail).toContain('shows no client certificate')
    }
  })

  test('a task that is bound to a certificate is kept with it alone', async () => {
    const { body } = await open({ [HEADER]: xfcc(bound) })
    const beat = (headers: Record<string, string>) =>
      call(`/v1/tasks/${body.task.id}/heartbeat`, { token: body.task_token, headers })
    expect((await beat({ [HEADER]: xfcc(bound) })).status).toBe(200)
    expect((await beat({ [HEADER]: xfcc(coder) })).status).toBe(401)
    expect((await beat({})).status).toBe(401)
  })

  test('the other listener takes the word of connections alone', async () => {
    const url = certified.broker.mtlsUrl!
    const lied = await call('/v1/tasks', { body: opening, headers: { [HEADER]: xfcc(coder) }, url })
    expect(lied.status).toBe(400)
    const shown = await call('/v1/tasks', {
      ...{ body: opening, headers: { [HEADER]: xfcc(coder) }, url, as: bound },
    })
    expect([shown.status, shown.body.task.agent]).toEqual([201, 'bound'])
  })
})

describe('what is read', () => {
  const how = (format: ForwardedCertificate['format'], chain_header?: string): ForwardedCertificate => ({
    ...{ header: 'client-cert', format, chain_header, from: networkList(['10.1.0.0/16', '2001:db8::/32']) },
  })
  const read = (
    rawHeaders: string[],
    by: ForwardedCertificate,
    remoteAddress: string | undefined = '10.1.2.3',
  ) => forwardedCertificates({ rawHeaders, socket: { remoteAddress } as IncomingMessage['socket'] }, by)
  const b64 = (der: Uint8Array) => Buffer.from(der).toString('base64')

  /** A leaf and the authority above it. */
  function chain() {
    const [leaf, above] = [coder.chain[0]!, certified.authority.root.der]
    const pem = (der: Uint8Array) =>
      `-----BEGIN CERTIFICATE-----\n${b64(der).replaceAll(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`
    return { leaf, above, one: pem(leaf), both: pem(leaf) + pem(above), other: pem(above) }
  }
  const plain = (given: readonly Uint8Array[]) => given.map(b64)

  test('Envoy: one certificate, or the chain with it', () => {
    const { leaf, above, one, both } = chain()
    const escaped = encodeURIComponent
    const whole = `By=spiffe://acme.test/p;Hash=${'ab'.repeat(32)};Cert="${escaped(one)}";Chain="${escaped(both)}";Subject="CN=a, O=\\"b;c\\"";URI=spiffe://acme.test/a;DNS=a.test;DNS=b.test`
    expect(plain(read(['Client-Cert', whole], how('xfcc')))).toEqual(plain([leaf, above]))
    expect(plain(read(['Client-Cert', `Cert="${escaped(one)}"`], how('xfcc')))).toEqual(plain([leaf]))
  })

  test('nginx and AWS: escaped PEM, plus signs left as they are or not', () => {
    const { leaf, above, one, both } = chain()
    const loose = encodeURIComponent(both)
      .replaceAll('%2B', '+')
      .replaceAll('%2F', '/')
      .replaceAll('%3D', '=')
    expect(plain(read(['client-cert', encodeURIComponent(one)], how('pem-urlencoded')))).toEqual(
      plain([leaf]),
    )
    expect(plain(read(['client-cert', loose], how('pem-urlencoded')))).toEqual(plain([leaf, above]))
  })

  test('RFC 9440, HAProxy and Traefik: base64, with the rest in a header of its own or not', () => {
    const { leaf, above } = chain()
    const headers = ['Client-Cert', `:${b64(leaf)}:`, 'Client-Cert-Chain', `:${b64(above)}:, :${b64(above)}:`]
    const by = how('der-base64', 'client-cert-chain')
    expect(plain(read(headers, by))).toEqual(plain([leaf, above, above]))
    expect(plain(read(['CLIENT-CERT', b64(leaf)], by))).toEqual(plain([leaf]))
    expect(plain(read(['client-cert', `${b64(leaf)},${b64(above)}`], how('der-base64')))).toEqual(
      plain([leaf, above]),
    )
  })

  test.each<[string, ForwardedCertificate['format'], (c: ReturnType<typeof chain>) => string]>([
    ['no pairs', 'xfcc', () => 'hello'],
    ['a hash alone', 'xfcc', () => `Hash=${'ab'.repeat(32)}`],
    ['one key twice', 'xfcc', c => `Cert="${encodeURIComponent(c.one)}";Cert="${encodeURIComponent(c.one)}"`],
    [
      'a chain of another',
      'xfcc',
      c => `Cert="${encodeURIComponent(c.other)}";Chain="${encodeURIComponent(c.both)}"`,
    ],
    ['an open quote', 'xfcc', c => `Cert="${encodeURIComponent(c.one)}`],
    ['something behind it', 'xfcc', c => `Cert="${encodeURIComponent(c.one)}";`],
    ['half an escape', 'pem-urlencoded', c => `${encodeURIComponent(c.one)}%4`],
    ['text before it', 'pem-urlencoded', c => encodeURIComponent(`leaf\n${c.one}`)],
    ['text behind it', 'pem-urlencoded', c => encodeURIComponent(`${c.one}leaf`)],
    ['no end', 'pem-urlencoded', c => encodeURIComponent(c.one.slice(0, 300))],
    ['base64url', 'der-base64', c => `:${Buffer.from(c.leaf).toString('base64url')}-_:`],
    ['nothing between commas', 'der-base64', c => `${b64(c.leaf)},`],
    ['nine certificates', 'der-base64', c => Array(9).fill(b64(c.leaf)).join(',')],
  ])('%s is refused (%s)', (_what, format, make) => {
    expect(() => read(['client-cert', make(chain())], how(format))).toThrow('is not a client certificate')
  })

  test.each(['10.2.0.1', '::1', '2001:db9::1', '', undefined])('nothing from %s', remote => {
    const headers = ['client-cert', b64(chain().leaf)]
    expect(() => read(headers, how('der-base64'), remote ?? 'no address')).toThrow('configured proxy')
  })

  test.each(['10.1.255.255', '::ffff:10.1.0.1', '2001:db8:1::1'])('all from %s', remote => {
    expect(read(['client-cert', b64(chain().leaf)], how('der-base64'), remote)).toHaveLength(1)
  })

  test('a chain without its leaf does not go unseen', () => {
    const headers = ['client-cert-chain', b64(chain().above)]
    expect(() => read(headers, how('der-base64', 'client-cert-chain'), '192.0.2.1')).toThrow(
      'configured proxy',
    )
  })
})
