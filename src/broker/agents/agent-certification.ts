/**
 * What the owner of an agent vouches for: its build (a digest over model, prompt and tools, as its file declares
 * it) and that it is still wanted, until a date. Another build than the accepted one puts it into quarantine.
 */
import { record } from '../../audit/record.ts'
import type { Agent } from '../../policy/agent.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { KnownAgentRow } from '../../store/rows.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { acceptedBuild, buildOf, putCertification } from './agent-build.ts'
import { carryOut, changeWithin, readAgent } from './agent-standing.ts'

export type Certification = {
  agent: string
  /** `sha256:<hex>`; absent where the agent declares no build. */
  build?: string
  /** Epoch ms. */
  until: number
  reason: string
}

/**
 * Records it, and takes back what stood against the agent for want of it. A build that is certified before its
 * file is there is accepted when it comes.
 *
 * @throws BrokerError `not_found`, `request_invalid`, `transition_refused`
 */
export async function certifyAgent(
  broker: Broker,
  { agent, build, until, reason }: Certification,
  actor: string,
): Promise<KnownAgentRow> {
  await broker.ledger.write(async tx => {
    const row = await tx.lockAgent(agent, 'update')
    if (row === undefined) throw new BrokerError('not_found', 'no such agent')
    if (row.standing === 'offboarding' || row.standing === 'offboarded')
      throw new BrokerError('transition_refused', `${agent} is ${row.standing}: there is nothing to certify`)
    if (until <= tx.now) throw new BrokerError('request_invalid', 'valid_until: is past')
    if (build === undefined && buildOf(row) !== null)
      throw new BrokerError(
        'request_invalid',
        'digest: the agent declares a build, and it is what is certified',
      )
    await putCertification(broker, tx, row, { build: build ?? null, until, by: actor })
    await record(tx, 'agent.certified', { actor, agent }, { build: build ?? null, until, reason })
    const isFor = (build ?? null) === buildOf(row)
    if (!isFor || row.standing === 'active') return
    if (row.standing_cause !== 'build' && row.standing_cause !== 'certification') return
    const order = { agent, verb: 'activate', reason: 'certified', cause: 'operator', mayWiden: true } as const
    await changeWithin(broker, tx, order, actor)
  })
  return readAgent(broker, agent)
}

/**
 * Part of the transaction that puts a declaration in force, after it. The first build that an agent declares is
 * taken as it is; from then on another one waits for its owner.
 * What it may no longer hold is taken back by the run that stands in the same transaction.
 */
export async function holdToBuild(
  broker: Pick<Broker, 'keyring' | 'log' | 'newId'>,
  tx: LedgerWrite,
  agent: Agent,
): Promise<void> {
  const row = await tx.lockAgent(agent.name, 'update')
  if (row === undefined) return
  const build = agent.build ?? null
  const accepted = acceptedBuild(broker, row)
  if (build === accepted) return
  if (accepted === null) {
    await putCertification(broker, tx, row, { build, until: row.certified_until, by: row.certified_by })
    return
  }
  if (row.standing !== 'active') return
  const order = strangeBuild(agent.name, 'its declared build is not the certified one')
  await changeWithin(broker, tx, order, 'broker')
}

/** Evidence that names a build other than the declared and the certified one: quarantine, and then go on. */
export async function holdEvidenceToBuild(
  broker: Broker,
  agent: Agent,
  { claims }: Pick<Identity, 'claims'>,
): Promise<void> {
  const { buildClaim } = broker.lifeCycle
  const named = buildClaim === undefined ? undefined : claims[buildClaim]
  if (typeof named !== 'string') return
  const isStrange = (row: KnownAgentRow) => {
    const accepted = [agent.build, acceptedBuild(broker, row)].filter(one => typeof one === 'string')
    return accepted.length > 0 && !accepted.includes(digestOf(named)) && row.standing === 'active'
  }
  if (!isStrange(await readAgent(broker, agent.name))) return
  const order = strangeBuild(agent.name, 'evidence of another build than the certified one')
  const run = await broker.ledger.write(async tx => {
    // Its owner may have certified this very build since.
    const row = await tx.lockAgent(agent.name, 'update')
    return row !== undefined && isStrange(row) ? changeWithin(broker, tx, order, 'broker') : undefined
  })
  if (run === undefined) return
  broker.log.warn(
    { alarm: 'agent_build_changed', agent: agent.name },
    'quarantined: evidence of another build',
  )
  await carryOut(broker, run)
}

const strangeBuild = (agent: string, reason: string) =>
  ({ agent, verb: 'quarantine', reason, cause: 'build', mayWiden: false }) as const

/** Claims may name the digest alone. */
const digestOf = (named: string) => (named.startsWith('sha256:') ? named : `sha256:${named}`)
