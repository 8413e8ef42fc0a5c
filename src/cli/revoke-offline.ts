import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import type { Broker } from '../broker/broker.ts'
import { createReaper } from '../broker/credentials/reaper.ts'
import { demandKnown } from '../broker/revocations/known-target.ts'
import { previewRevocation } from '../broker/revocations/preview-revocation.ts'
import {
  continueRevocation,
  revocationPrefix,
  revocationStatus,
  startRevocation,
} from '../broker/revocations/revocations.ts'
import { loadSettings } from '../config.ts'
import { renderLease, renderPreview, renderRevocation } from '../http/render.ts'
import type { RevocationFilter } from '../policy/revocation-filter.ts'
import type { LeaseRow } from '../store/rows.ts'
import { leaseAnswer, previewAnswer, revocationStatusAnswer } from './answers.ts'
import { demandLedger } from './demand-ledger.ts'
import { CLI_LIMITS } from './limits.ts'
import { openCoreAlone, publishWhileAlone, withTeamIssuers } from './open-core-alone.ts'
import { count, printJson } from './print.ts'
import { demandMatch, matchedBy, reachedBy, tellBlock, tellPreview, tellStatus } from './revocation.ts'
import { describeLease } from './task-session.ts'
import { EXIT, sleep, type Terminal } from './terminal.ts'

/**
 * `mayfly revoke --offline`: the same with no broker running, by ledger and key alone. Ends the tasks, and
 * works until nothing that can be revoked is left, or every provider that is left has failed once.
 */
export async function revokeOffline(
  terminal: Terminal,
  filter: RevocationFilter,
  options: {
    config?: string
    reason: string
    hold?: boolean
    unregistered?: boolean
    dryRun?: boolean
    json?: boolean
  },
): Promise<void> {
  const { config = 'config/mayfly.yaml', reason, hold = false, unregistered = false, dryRun, json } = options
  const edge = await terminal.edge('silent')
  const loaded = await loadSettings(config, edge.files, { attestorTypes, issuerTypes })
  await demandLedger(edge.files, loaded.settings.ledger)
  const core = await openCoreAlone(loaded, edge, 'While it runs, leave --offline away: it revokes at once.')
  const endPublishing = publishWhileAlone(terminal, core, loaded, edge)
  try {
    const broker = await withTeamIssuers(terminal, core)
    if (!unregistered) await demandKnown(broker, filter)
    if (dryRun) {
      const rendered = renderPreview(filter, await previewRevocation(broker, filter))
      const preview = previewAnswer.parse(rendered)
      if (json) printJson(terminal, rendered)
      else terminal.out(tellPreview(preview))
      return demandMatch(filter, matchedBy(preview))
    }
    const { id } = await startRevocation(broker, { filter, reason, hold }, 'operator:offline')
    while (await continueRevocation(broker, revocationPrefix + id));
    const left = await drive(terminal, broker)
    const status = revocationStatusAnswer.parse(renderRevocation(await revocationStatus(broker, id)))
    const shown = left.map(row => leaseAnswer.parse(renderLease(row)))
    if (json) printJson(terminal, { ...status, left: shown })
    else {
      const lines = shown.map(lease => `  ${describeLease(lease)}\n`)
      terminal.out(`${tellStatus(status)}\n${tellBlock(status)}`)
      terminal.out(`${count(left.length, 'credential')} left\n${lines.join('')}`)
    }
    if (left.some(isRevocable)) terminal.exitWith(EXIT.unavailable)
    demandMatch(filter, reachedBy(status))
  } finally {
    await endPublishing()
    await core.close()
  }
}

/** Lets the reaper work with the issuers that are there, and returns what it could not close. Leases of tasks that go on are none of its business. */
export async function drive(terminal: Terminal, broker: Broker): Promise<LeaseRow[]> {
  const before = new Map((await leftOver(broker)).map(lease => [lease.id, lease.attempts]))
  const until = terminal.now() + CLI_LIMITS.offlineSeconds * 1_000
  const reaper = createReaper(broker, terminal.schedule)
  reaper.wake()
  try {
    for (;;) {
      const left = await leftOver(broker)
      const untried = left.filter(
        lease =>
          isRevocable(lease) &&
          broker.issuers.has(lease.issuer) &&
          lease.attempts === (before.get(lease.id) ?? 0),
      )
      if (untried.length === 0 || terminal.now() > until) return left
      await sleep(terminal, CLI_LIMITS.offlinePollMs)
    }
  } finally {
    await reaper.stop()
  }
}

async function leftOver(broker: Broker): Promise<LeaseRow[]> {
  const left: LeaseRow[] = []
  let after: string | undefined
  do {
    const page = await broker.ledger.read.leases(
      { state: 'outstanding' },
      { limit: broker.limits.pageItems, ...(after === undefined ? {} : { after }) },
    )
    left.push(...page.items.filter(lease => lease.state === 'revoking'))
    after = page.next ?? undefined
  } while (after !== undefined)
  return left
}

/** A mint without a known outcome cannot be revoked by anybody: it is over at `dead_by`. */
export function isRevocable(lease: LeaseRow): boolean {
  return lease.revocability !== 'expiry_only' && lease.provider_expires_at !== null
}
