/** What the providers know beside what the ledger knows. */
import type { Ledger } from '../../src/store/ledger.ts'
import type { LeaseRow, TaskRow } from '../../src/store/rows.ts'
import type { Installation } from '../fakes/installation.ts'

type Providers = Pick<Installation, 'github' | 'aws'>

/** A live credential at a provider, by the lease it was minted for. */
export type LiveCredential = { provider: 'github' | 'aws'; lease: string; sha256?: string }

export function liveCredentials(at: Providers): LiveCredential[] {
  return everMinted(at).flatMap(({ alive, ...credential }) => (alive ? [credential] : []))
}

/** Leases under which a provider was made to mint more than once. Must always be empty. */
export function mintedTwice(at: Providers): string[] {
  const seen = new Set<string>()
  return everMinted(at).flatMap(({ lease }) => (seen.size === seen.add(lease).size ? [lease] : []))
}

function everMinted({ github, aws }: Providers): (LiveCredential & { alive: boolean })[] {
  const tokens = github.credentials().map(({ userAgent, sha256, alive }) => {
    return { provider: 'github', lease: leaseIn(userAgent), sha256, alive } as const
  })
  const sessions = aws
    .credentials()
    .map(({ sessionName, alive }) => ({ provider: 'aws', lease: leaseIn(sessionName), alive }) as const)
  return [...tokens, ...sessions]
}

const leaseIn = (text: string) => /\blse_[0-9a-z]{26}\b/.exec(text)?.[0] ?? `none in ${text}`

/** Live credentials that no outstanding lease accounts for. Must always be empty. */
export function unaccounted(
  live: readonly LiveCredential[],
  leases: readonly Pick<LeaseRow, 'id' | 'state' | 'secret_sha256'>[],
): LiveCredential[] {
  const outstanding = new Map(leases.filter(row => row.state !== 'closed').map(row => [row.id, row]))
  return live.filter(({ lease, sha256 }) => {
    const row = outstanding.get(lease)
    if (row === undefined) return true
    // What the ledger holds of it must be of this very token, or nothing yet.
    return sha256 !== undefined && row.secret_sha256 !== null && row.secret_sha256 !== sha256
  })
}

export async function allLeases({ read }: Pick<Ledger, 'read'>): Promise<LeaseRow[]> {
  return all(page => read.leases({}, page))
}

export async function allTasks({ read }: Pick<Ledger, 'read'>): Promise<TaskRow[]> {
  return all(page => read.tasks({}, page))
}

async function all<Row>(
  read: (page: { limit: number; after?: string }) => Promise<{ items: Row[]; next: string | null }>,
): Promise<Row[]> {
  const rows: Row[] = []
  for (let after: string | undefined; ; ) {
    const page = await read({ limit: 100, ...(after === undefined ? {} : { after }) })
    rows.push(...page.items)
    if (page.next === null) return rows
    after = page.next
  }
}

/** `3 intended, 5 active, 1 revoking, 40 closed` */
export function countsOf(leases: readonly Pick<LeaseRow, 'state'>[]): string {
  const states = ['intended', 'active', 'revoking', 'closed'] as const
  return states.map(state => `${leases.filter(row => row.state === state).length} ${state}`).join(', ')
}
