/**
 * A reference server of the `http` issuer's protocol (docs/http-issuer.md): logins of databases, over mutual TLS.
 * It keeps what the protocol asks of a server, and the truth of every credential that it ever gave.
 */
import type { FaultHook } from '../faults.ts'
import type { Certified } from './certificates.ts'
import { type IssueRequest, issueRequest, leaseRequest, resolveRequest } from './requests.ts'
import { type Answer, listen } from './server.ts'

export type HttpIssuerOptions = {
  /** Epoch ms. */
  now: () => number
  random: (bytes: number) => Uint8Array
  /** PEM of what it shows, and of the one CA whose clients it takes. Absent: plain http, for loopback. */
  tls?: Certified & { clientAuthority: string }
  /** Which clients it takes, by the common name of their certificate. */
  clients?: readonly string[]
}

export type Given = {
  lease: string
  secret: string
  ask: IssueRequest['ask']
  expiresAt: number
  revokedAt?: number
  userAgent: string
  alive: boolean
}

/** Databases it has, by name. */
const DATABASES: Readonly<Record<string, string>> = { orders: 'db_1', payments: 'db_2' }
const LONGEST_LIFE_MS = 60 * 60_000

export type HttpIssuer = Awaited<ReturnType<typeof startHttpIssuer>>

export async function startHttpIssuer(options: HttpIssuerOptions) {
  const { now, random } = options
  const given = new Map<string, Given>()
  const controls = {
    faults: (() => 'ok') as FaultHook,
    /** In place of what it would answer to a mint. */
    misbehave: undefined as ((answer: Record<string, unknown>) => Record<string, unknown>) | undefined,
  }

  /** Once for each lease: whoever asks again, by whatever way, gets the same credential. */
  function issue(body: unknown, userAgent: string): Answer {
    const { lease, ask, expires_at, mint_not_after } = issueRequest.parse(body)
    if (now() >= mint_not_after) return refused('rejected', 'the time to mint this has passed')
    const database = DATABASES[ask.database]
    if (database === undefined || (ask.database_id !== undefined && ask.database_id !== database))
      return refused('not_found', `there is no database ${ask.database}`)
    if (ask.level === 'admin') return refused('not_permitted', 'nobody is admin here by way of a broker')
    const before = given.get(lease)
    if (before !== undefined && JSON.stringify(before.ask) !== JSON.stringify(ask))
      return refused('rejected', 'the lease was used for another ask')
    const secret = before?.secret ?? `db-${Buffer.from(random(24)).toString('base64url')}`
    const expiresAt = before?.expiresAt ?? Math.min(expires_at, now() + LONGEST_LIFE_MS)
    given.set(lease, { lease, secret, ask, expiresAt, userAgent, alive: true, ...before })
    const answer = {
      outcome: 'issued',
      secret,
      granted: ask,
      expires_at: new Date(expiresAt).toISOString(),
      details: { host: `${ask.database}.db.test` },
    }
    return { status: 200, body: controls.misbehave?.(answer) ?? answer }
  }

  /** By the lease alone: also one whose mint the broker does not know the end of. */
  function revoke(body: unknown): Answer {
    const one = given.get(leaseRequest.parse(body).lease)
    if (one === undefined || !isAlive(one)) return { status: 200, body: { outcome: 'already_gone' } }
    one.revokedAt = now()
    return { status: 200, body: { outcome: 'revoked' } }
  }

  function probe(body: unknown): Answer {
    const one = given.get(leaseRequest.parse(body).lease)
    if (one === undefined) return { status: 200, body: { proof: 'unknown', detail: 'never given here' } }
    return { status: 200, body: { proof: isAlive(one) ? 'alive' : 'dead' } }
  }

  function resolve(body: unknown): Answer {
    const { ask } = resolveRequest.parse(body)
    const id = DATABASES[ask.database]
    if (id === undefined || (ask.database_id !== undefined && ask.database_id !== id))
      return refused('not_found', `there is no database ${ask.database}`)
    return { status: 200, body: { outcome: 'resolved', ask: { ...ask, database_id: id } } }
  }

  const isAlive = ({ revokedAt, expiresAt }: Given) => revokedAt === undefined && now() < expiresAt

  const server = await listen({
    ...options,
    faults: call => controls.faults(call),
    operations: { issue, revoke, probe, resolve },
  })

  return Object.assign(controls, {
    url: server.url,
    requests: server.requests,
    /** The truth, in the order of minting. */
    given: (): Given[] => [...given.values()].map(one => ({ ...one, alive: isAlive(one) })),
    /** A query of a table, with a login that it gave. */
    query(secret: string, database: string, table: string, level: 'read' | 'write'): boolean {
      const login = [...given.values()].find(one => one.secret === secret)
      if (login === undefined || !isAlive(login)) return false
      const { ask } = login
      return (
        ask.database === database &&
        ask.tables.includes(table) &&
        LEVELS.indexOf(level) <= LEVELS.indexOf(ask.level)
      )
    },
    close: server.close,
  })
}

const LEVELS = ['read', 'write', 'admin']

function refused(reason: string, detail: string): Answer {
  return { status: 200, body: { outcome: 'refused', reason, detail } }
}
