import { type LeaseAnswer, leasePage } from './answers.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printJson, shortTime, showAsk, table } from './print.ts'
import { type Terminal, usageError } from './terminal.ts'

export type LeasesOptions = BrokerOption &
  OperatorTokenOption & {
    task?: string
    agent?: string
    issuer?: string
    state?: string
    limit?: number
    after?: string
    json?: boolean
    offline?: boolean
    config?: string
  }

/** `mayfly leases`: one page of what was ever handed out, newest first, without any secret. */
export async function leases(terminal: Terminal, options: LeasesOptions): Promise<void> {
  const page =
    options.offline === true ? await offlinePage(terminal, options) : await askFor(terminal, options)
  if (options.json) return printJson(terminal, page)
  terminal.out(leaseTable(page.items))
  const more = page.next === null ? '' : `; older ones: --after ${page.next}`
  terminal.out(`${count(page.items.length, 'lease')}${more}\n`)
}

async function offlinePage(terminal: Terminal, options: LeasesOptions): Promise<LeasePage> {
  const { task, agent, issuer, state, after, config, limit = CLI_LIMITS.leaseRows } = options
  const filter = Object.fromEntries(
    Object.entries({ task, agent, issuer, state }).filter(([, value]) => value !== undefined),
  )
  const { leasesOffline } = await import('./leases-offline.ts')
  return leasesOffline(terminal, filter, {
    limit,
    ...(config === undefined ? {} : { config }),
    ...(after === undefined ? {} : { after }),
  })
}

async function askFor(terminal: Terminal, options: LeasesOptions): Promise<LeasePage> {
  if (options.config !== undefined)
    throw usageError('--config belongs to --offline; a running broker is found by --broker')
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const { task, agent, issuer, state, after, limit = CLI_LIMITS.leaseRows } = options
  const wanted = Object.entries({ task, agent, issuer, state, after, limit: String(limit) })
  const query = new URLSearchParams(
    wanted.filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
  return client.call({ method: 'GET', path: `/v1/leases?${query}`, token, whenLost: 'repeat' }, leasePage)
}

type LeasePage = { items: LeaseAnswer[]; next: string | null }

export function leaseTable(rows: readonly LeaseAnswer[]): string {
  const head = ['LEASE', 'STATE', 'AGENT', 'TASK', 'UNTIL', 'WHAT']
  return table(
    head,
    rows.map(lease => [
      lease.lease,
      lease.closed_as ?? lease.state,
      lease.agent,
      lease.task,
      shortTime(lease.provider_expires_at ?? lease.expires_at),
      showAsk(lease.authorization_details),
    ]),
  )
}
