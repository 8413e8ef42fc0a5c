/** A reference server behind mutual TLS, and `http` issuers opened against it. */
import { randomBytes } from 'node:crypto'
import { httpIssuer } from '../../issuers/http.ts'
import type { Grant, Issuer, LeaseHandle } from '../../issuers/issuer.ts'
import type { HttpAsk } from '../../issuers/shared/http-ask.ts'
import { createOutbound } from '../../src/outbound.ts'
import { type Certified, createAuthority } from '../fakes/http-issuer/certificates.ts'
import { type HttpIssuer, type HttpIssuerOptions, startHttpIssuer } from '../fakes/http-issuer/http-issuer.ts'
import { Clocks, hostDeps } from './stand-in.ts'

const DAY_MS = 86_400_000
const random = (bytes: number) => randomBytes(bytes)
// TLS is judged by the machine's own clock, whatever the clocks of the tests say.
const now = Date.now()
const valid = { from: now - DAY_MS, until: now + DAY_MS }

/** Keys take a while to make: one set for a file of tests. */
export const authority = createAuthority('Team CA', valid, random)
export const stranger = createAuthority('Another CA', valid, random)
export const broker = authority.issue('mayfly')
export const certificates = {
  server: authority.issue('issuer'),
  strangersServer: stranger.issue('issuer'),
  otherName: authority.issue('issuer', valid, 'other.test'),
  anotherClient: authority.issue('somebody'),
  strangersClient: stranger.issue('mayfly'),
  expiredClient: authority.issue('mayfly', { from: now - 2 * DAY_MS, until: now - DAY_MS }),
}

export const LEASE = `lse_${'h'.repeat(26)}`

export const askSettings = {
  schema: {
    type: 'object',
    properties: {
      database: { type: 'string' },
      database_id: { type: 'string' },
      tables: { type: 'array', items: { type: 'string' }, minItems: 1 },
      level: { type: 'string' },
      rows: { type: 'integer', minimum: 1, maximum: 1_000_000 },
    },
    required: ['database', 'tables', 'level'],
    additionalProperties: false,
  },
  compare: {
    database: 'exact',
    database_id: 'resolved',
    tables: 'subset',
    level: { at_most: ['read', 'write', 'admin'] },
    rows: 'at_most',
  },
  facts: {
    resources: [{ type: 'Database', name: 'database', id: 'database_id' }],
    permissions: ['level', 'tables'],
    phase: [{ field: 'level', values: { read: 'read', write: 'execute' } }],
    may_leave_access: [{ field: 'level', values: { read: false, write: false } }],
  },
}

export const READ_ORDERS = { database: 'orders', tables: ['open'], level: 'read' }

export class HttpWorld {
  readonly clocks: Clocks
  readonly host: ReturnType<typeof hostDeps>
  readonly server: HttpIssuer
  readonly files: Record<string, string>
  #outbounds: { close(): Promise<void> }[] = []
  #sent = 0

  private constructor(server: HttpIssuer, clocks: Clocks, client: Certified) {
    this.server = server
    this.clocks = clocks
    this.files = {
      'client.pem': client.certificate,
      'client.key': client.key,
      'team-ca.pem': authority.certificate,
    }
    this.host = hostDeps(clocks, this.files)
  }

  static async start(over: Partial<HttpIssuerOptions> = {}, client = broker): Promise<HttpWorld> {
    const clocks = new Clocks()
    const tls = { ...certificates.server, clientAuthority: authority.certificate }
    const server = await startHttpIssuer({ now: clocks.provider, random, tls, clients: ['mayfly'], ...over })
    return new HttpWorld(server, clocks, client)
  }

  settings(over: object = {}) {
    return httpIssuer.settings.parse({
      url: this.server.url,
      ...(this.server.url.startsWith('https') && {
        tls: { certificate_file: 'client.pem', key_file: 'client.key', ca_file: 'team-ca.pem' },
      }),
      revocability: 'immediate',
      longest_life_minutes: 60,
      resolves: true,
      ask: askSettings,
      ...over,
    })
  }

  open(over: object = {}): Issuer<HttpAsk> {
    const deps = {
      ...this.host.deps,
      name: 'databases',
      mutualTls: this.mutualTls,
    }
    // The list of issuer types forgets the ask's type; this is the one place that knows it again.
    return httpIssuer.open(this.settings(over), deps) as Issuer<HttpAsk>
  }

  /** As the host makes it (src/open-plugins.ts), and counted. */
  readonly mutualTls: NonNullable<Parameters<typeof httpIssuer.open>[1]['mutualTls']> = (
    { certificate, key, ca, serverName },
    bounds,
  ) => {
    const outbound = createOutbound({
      ...{ allowLoopback: true, client: { certificate, key: key.reveal() }, ...bounds },
      ...(ca === undefined ? {} : { ca }),
      ...(serverName === undefined ? {} : { serverName }),
    })
    this.#outbounds.push(outbound)
    const counted: typeof fetch = (input, init) => {
      this.#sent += 1
      return outbound.fetch(input, init)
    }
    return { fetch: counted, close: () => void outbound.retire() }
  }

  /** Calls that were tried. */
  sent(): number {
    return this.#sent + this.host.counted.requests
  }

  grant(issuer: Issuer<HttpAsk>, ask: unknown = READ_ORDERS): Grant<HttpAsk> {
    const at = this.clocks.broker()
    return {
      ...{
        lease: LEASE,
        ask: issuer.ask.parse(ask),
        task: 'tsk_1',
        agent: 'triage',
        chain: [{ sub: 'lead' }],
      },
      ...{ expiresAt: at + 600_000, mintNotAfter: at + issuer.mintWindowMs },
    }
  }

  issue(issuer: Issuer<HttpAsk>, ask?: unknown) {
    return issuer.issue(this.grant(issuer, ask))
  }

  handle(issuer: Issuer<HttpAsk>): LeaseHandle<HttpAsk> {
    return { lease: LEASE, ask: issuer.ask.parse(READ_ORDERS) }
  }

  async close(): Promise<void> {
    await Promise.all([this.host.close(), ...this.#outbounds.map(outbound => outbound.close())])
    await this.server.close()
  }
}
