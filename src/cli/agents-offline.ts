import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import { changeStanding } from '../broker/agents/agent-standing.ts'
import { continueRevocation, revocationPrefix } from '../broker/revocations/revocations.ts'
import { loadSettings } from '../config.ts'
import { renderLease } from '../http/render.ts'
import { leaseAnswer } from './answers.ts'
import { demandLedger } from './demand-ledger.ts'
import { openCoreAlone, publishWhileAlone, withTeamIssuers } from './open-core-alone.ts'
import { count, printJson } from './print.ts'
import { drive, isRevocable } from './revoke-offline.ts'
import { describeLease } from './task-session.ts'
import { EXIT, type Terminal } from './terminal.ts'

/** `mayfly agents suspend --offline`: the same with no broker running, by ledger and key alone. */
export async function agentChangeOffline(
  terminal: Terminal,
  verb: 'suspend' | 'quarantine',
  agent: string,
  { config = 'config/mayfly.yaml', reason, json }: { config?: string; reason: string; json?: boolean },
): Promise<void> {
  const edge = await terminal.edge('silent')
  const loaded = await loadSettings(config, edge.files, { attestorTypes, issuerTypes })
  await demandLedger(edge.files, loaded.settings.ledger)
  const core = await openCoreAlone(loaded, edge, 'While it runs, leave --offline away: it acts at once.')
  const endPublishing = publishWhileAlone(terminal, core, loaded, edge)
  try {
    const broker = await withTeamIssuers(terminal, core)
    const order = { agent, verb, reason, cause: 'operator', mayWiden: false } as const
    const { standing, standing_run } = await changeStanding(broker, order, 'operator:offline')
    if (standing_run !== null) while (await continueRevocation(broker, revocationPrefix + standing_run));
    const left = await drive(terminal, broker)
    const shown = left.map(row => leaseAnswer.parse(renderLease(row)))
    if (json) printJson(terminal, { agent, status: standing, left: shown })
    else {
      const lines = shown.map(lease => `  ${describeLease(lease)}\n`)
      terminal.out(`${agent} is ${standing}; ${count(left.length, 'credential')} left\n${lines.join('')}`)
    }
    if (left.some(isRevocable)) terminal.exitWith(EXIT.unavailable)
  } finally {
    await endPublishing()
    await core.close()
  }
}
