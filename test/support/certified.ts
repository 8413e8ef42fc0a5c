/** A broker that asks for client certificates, a trust domain of X.509-SVIDs, and a client that shows them. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { request as plainRequest } from 'node:http'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { RunningServer } from '../../src/server.ts'
import {
  createSpiffeX509Authority,
  type SpiffeX509Authority,
} from '../fakes/identity/spiffe-x509-authority.ts'
import { extension, makeCertificate, makeKeys, pemOf, USES } from '../fakes/identity/x509-certificates.ts'
import { createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import type { Answer } from './api.ts'

/** What clients call the listener for certificates; tests connect to the port that it took. */
export const MTLS_URL = 'https://mtls.mayfly.test'

export type ClientIdentity = { cert: string; key: string }

export type Call = {
  method?: string
  /** As JSON. */
  body?: object
  form?: Record<string, string>
  token?: string
  headers?: Readonly<Record<string, string | readonly string[]>>
  /** Shown on a connection of its own. */
  as?: ClientIdentity | undefined
  /** The address of this machine to connect from. */
  from?: string
  /** Instead of the listener for certificates. */
  url?: string
}

export type Certified = {
  installation: Installation
  authority: SpiffeX509Authority
  broker: RunningServer
  /** PEM, the authority of the broker's own certificate. */
  ca: string
  call(path: string, how?: Call): Promise<Answer>
  /** Writes the bundle as it is now, as SPIRE's agents and ConfigMaps do. */
  writeBundle(): Promise<void>
  /** A new certificate for the broker itself, in its file. */
  renewServer(): Promise<void>
  close(): Promise<void>
}

/** @param settings of the first listener. Agents `coder` and `bound` attest by X.509-SVIDs; `bound` has to bind. */
export async function createCertified(listen: Record<string, unknown> = {}): Promise<Certified> {
  const installation = await createInstallation()
  const { directory, clock } = installation
  const at = (name: string) => join(directory, name)
  const authority = await createSpiffeX509Authority({ trustDomain: 'acme.test', now: clock.now })
  const server = await createServerAuthority(clock.now())

  async function writeBundle() {
    await writeFile(at('x509.json.new'), authority.bundle())
    await rename(at('x509.json.new'), at('x509.json'))
  }
  async function renewServer() {
    const { cert, key } = await server.issue()
    await writeFile(at('server.pem'), cert)
    await writeFile(at('server.key'), key, { mode: 0o600 })
  }
  await writeBundle()
  await renewServer()
  const plain = parse(await readFile(installation.configPath, 'utf8'))
  const { coder } = installation.agents
  const attestedBy = (path: string) => [{ attestor: 'x509', subject: `spiffe://acme.test${path}` }]
  await installation.configure({
    settings: {
      listen: { ...plain.listen, ...listen },
      mtls_listen: {
        ...{ host: '127.0.0.1', port: 0, public_url: MTLS_URL },
        tls: { cert_file: 'server.pem', key_file: 'server.key' },
      },
      attestors: {
        ...plain.attestors,
        x509: { type: 'spiffe-x509', trust_domain: 'acme.test', bundle_file: 'x509.json' },
      },
    },
    agents: {
      coder: { ...coder, attest: attestedBy('/agent/coder') },
      bound: { ...coder, attest: attestedBy('/agent/bound'), bound_key_required: true },
    },
  })
  const broker = await startBroker(installation)
  return {
    ...{ installation, authority, broker, ca: server.ca, writeBundle, renewServer },
    call: (path, how = {}) => send(new URL(path, how.url ?? broker.mtlsUrl), how, server.ca),
    async close() {
      await broker.stop()
      await installation.close()
    },
  }
}

function send(url: URL, how: Call, ca: string): Promise<Answer> {
  const { method = 'POST', token, as, from } = how
  const text =
    how.form === undefined ? how.body && JSON.stringify(how.body) : new URLSearchParams(how.form).toString()
  const type = how.form === undefined ? 'application/json' : 'application/x-www-form-urlencoded'
  const headers = {
    ...(text === undefined ? {} : { 'content-type': type }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...how.headers,
  }
  const agent = url.protocol === 'https:' ? new Agent({ ...as, ca, maxCachedSessions: 0 }) : undefined
  const options = { method, headers, ...(agent && { agent }), ...(from && { localAddress: from }) }
  return new Promise((resolve, reject) => {
    const sent = (agent === undefined ? plainRequest : request)(url, options, response => {
      const parts: Buffer[] = []
      response.on('data', part => parts.push(part))
      response.on('error', reject)
      response.on('end', () => {
        agent?.destroy()
        const body = Buffer.concat(parts).toString()
        const isJson = response.headers['content-type']?.includes('json')
        const answered = new Headers(Object.entries(response.headers).map(([k, v]) => [k, String(v)]))
        resolve({
          status: response.statusCode ?? 0,
          body: isJson ? JSON.parse(body) : body,
          headers: answered,
        })
      })
    })
    sent.on('error', reject)
    sent.end(text)
  })
}

/** Of the broker's own certificate: nothing to do with the trust domain. */
async function createServerAuthority(nowMs: number) {
  const notBefore = Math.floor(nowMs / 1000) * 1000 - 60_000
  const valid = { notBefore, notAfter: notBefore + 86_400_000 }
  const root = await makeCertificate({
    ...{ name: 'CN=servers', keys: await makeKeys(), ...valid },
    extensions: [extension.basic(true), extension.usage(USES.keyCertSign)],
  })
  return {
    ca: pemOf(root.der),
    async issue(): Promise<ClientIdentity> {
      const leaf = await makeCertificate({
        ...{ name: 'CN=mayfly', keys: await makeKeys(), issuer: root, ...valid },
        extensions: [extension.names([{ type: 'ip', value: '127.0.0.1' }])],
      })
      return { cert: pemOf(leaf.der), key: leaf.keys.pem }
    },
  }
}
