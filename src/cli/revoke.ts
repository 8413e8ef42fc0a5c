import { revocationAnswer } from './answers.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { printJson } from './print.ts'
import { refuseNothing, type Target, tellReached } from './revocation.ts'
import { type Terminal, usageError } from './terminal.ts'

export type RevokeOptions = BrokerOption &
  OperatorTokenOption & {
    task?: string
    agent?: string
    lease?: string
    everything?: true
    reason: string
    offline?: boolean
    config?: string
    json?: boolean
  }

/** `mayfly revoke`: ends tasks, or takes one credential back, whatever is going on. */
export async function revoke(terminal: Terminal, options: RevokeOptions): Promise<void> {
  const target = readTarget(options)
  if (options.offline === true) {
    const { revokeOffline } = await import('./revoke-offline.ts')
    return revokeOffline(terminal, target, options)
  }
  if (options.config !== undefined)
    throw usageError('--config belongs to --offline; a running broker is found by --broker')
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const body = { ...target, reason: options.reason }
  const reached = await client.call(
    { method: 'POST', path: '/v1/revocations', token, body, whenLost: 'repeat' },
    revocationAnswer,
  )
  refuseNothing(target, reached)
  if (options.json) return printJson(terminal, reached)
  terminal.out(`${tellReached(reached)}\nWatch it with: mayfly leases --state outstanding\n`)
}

function readTarget({ task, agent, lease, everything }: RevokeOptions): Target {
  const named: Target[] = [
    ...(task === undefined ? [] : [{ task }]),
    ...(agent === undefined ? [] : [{ agent }]),
    ...(lease === undefined ? [] : [{ lease }]),
    ...(everything === undefined ? [] : [{ everything }]),
  ]
  const [target] = named
  if (target === undefined || named.length > 1)
    throw usageError('say what to revoke, exactly one of: --task ID, --agent NAME, --lease ID, --everything')
  return target
}
