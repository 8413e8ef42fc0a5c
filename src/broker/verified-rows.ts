/**
 * Rows that grant authority carry a MAC over their immutable part: writing to the database is not enough to
 * be given anything. These functions make the MAC and check it on use.
 */
import type { Keyring, MacFields } from '../keys/keyring.ts'
import type { LedgerWrite } from '../store/ledger.ts'
import type {
  AgentRow,
  AgentStanding,
  MintingAgentRow,
  OperatorTokenRow,
  RegistryRow,
  ResourceRow,
  TaskRow,
  TicketRow,
} from '../store/rows.ts'
import type { Broker, Log } from './broker.ts'
import { BrokerError } from './broker-error.ts'

type Unsigned<Row> = Omit<Row, 'mac'>
type Keyed = { keyring: Keyring }

function taskFields(row: Unsigned<TaskRow>): MacFields {
  const { id, parent, root, depth, agent, agent_digest, system, identity, ticket, token_hash } = row
  const { opened_at, deadline, human, human_facts, bound_key, read_only } = row
  return {
    id,
    parent,
    root,
    depth,
    agent,
    agent_digest,
    system,
    identity,
    ticket,
    token_hash,
    opened_at,
    deadline,
    // Absent where there is none: rows of before have the MAC that they had.
    ...(human === null && human_facts === null ? {} : { human, human_facts }),
    ...(bound_key === null ? {} : { bound_key }),
    ...(read_only === 0 ? {} : { read_only }),
  }
}

function ticketFields(row: Unsigned<TicketRow>): MacFields {
  const { id, parent_task, agent, asks, minutes, token_hash, created_at, expires_at } = row
  return { id, parent_task, agent, asks, minutes, token_hash, created_at, expires_at }
}

function agentFields(row: Unsigned<AgentRow>): MacFields {
  const { name, digest, document } = row
  return { name, digest, document }
}

function operatorFields(row: Unsigned<OperatorTokenRow>): MacFields {
  const { id, name, token_hash, created_at, expires_at } = row
  return { id, name, token_hash, created_at, expires_at }
}

function registryFields(row: Unsigned<RegistryRow>): MacFields {
  const { generation, resources_digest, files_digest, changed_at } = row
  return { generation, resources_digest, files_digest, changed_at }
}

function resourceFields(row: Unsigned<ResourceRow>): MacFields {
  const { kind, name, version, namespace, managed_by, state, document, digest } = row
  const { generation, actor, reason, at } = row
  const made = { generation, actor, reason, at }
  return { kind, name, version, namespace, managed_by, state, document, digest, ...made }
}

type Certified = { name: string } & Pick<
  AgentStanding,
  'certified_build' | 'certified_until' | 'certified_by'
>

function certificationFields(row: Certified): MacFields {
  const { name, certified_build, certified_until, certified_by } = row
  return { name, certified_build, certified_until, certified_by }
}

export const taskMac = ({ keyring }: Keyed, row: Unsigned<TaskRow>) => keyring.mac('task', taskFields(row))
export const ticketMac = ({ keyring }: Keyed, row: Unsigned<TicketRow>) =>
  keyring.mac('ticket', ticketFields(row))
export const agentMac = ({ keyring }: Keyed, row: Unsigned<AgentRow>) =>
  keyring.mac('agent', agentFields(row))
export const certificationMac = ({ keyring }: Keyed, row: Certified) =>
  keyring.mac('certification', certificationFields(row))
export const operatorMac = ({ keyring }: Keyed, row: Unsigned<OperatorTokenRow>) =>
  keyring.mac('operator', operatorFields(row))

export const registryMac = ({ keyring }: Keyed, row: Unsigned<RegistryRow>) =>
  keyring.mac('registry', registryFields(row))
export const resourceMac = ({ keyring }: Keyed, row: Unsigned<ResourceRow>) =>
  keyring.mac('resource', resourceFields(row))

export const verifiedRegistry = (broker: Keyed & { log: Log }, row: RegistryRow) =>
  verified(broker, 'registry', row, registryFields(row))
export const verifiedResource = (broker: Keyed & { log: Log }, row: ResourceRow) =>
  verified(broker, 'resource', row, resourceFields(row))

export const verifiedTask = (broker: Broker, row: TaskRow) => verified(broker, 'task', row, taskFields(row))
export const verifiedTicket = (broker: Broker, row: TicketRow) =>
  verified(broker, 'ticket', row, ticketFields(row))

export const verifiedAgent = (broker: Broker, row: AgentRow) =>
  verified(broker, 'agent', row, agentFields(row))

/** Every mint looks at its agent, by its digest: one whose digest and MAC were right before is not read whole again. */
export async function verifyMintingAgent(
  broker: Broker,
  tx: LedgerWrite,
  row: MintingAgentRow,
): Promise<void> {
  const before = broker.verifiedAgents.get(row.name)
  if (before?.mac !== row.mac || before.digest !== row.digest) {
    const whole = await tx.lockAgent(row.name, 'share')
    if (whole?.mac !== row.mac || whole.digest !== row.digest)
      throw new BrokerError('configuration_stale', 'the agent was changed while it was looked at')
    verifiedAgent(broker, whole)
  }
  broker.verifiedAgents.set(row.name, row)
}

export const verifiedCertification = (broker: Keyed & { log: Log }, row: Certified & { mac: string }) =>
  verified(broker, 'certification', row, certificationFields(row))

export const verifiedOperator = (broker: Broker, row: OperatorTokenRow) =>
  verified(broker, 'operator', row, operatorFields(row))

/** A row whose MAC is wrong was not written by a broker: it grants nothing, loudly. */
export function verified<Row extends { mac: string }>(
  { keyring, log }: Keyed & { log: Log },
  kind: string,
  row: Row,
  fields: MacFields,
): Row {
  if (keyring.verifyMac(kind, fields, row.mac)) return row
  log.error({ alarm: 'ledger_row_altered', kind }, 'a ledger row that grants authority was altered')
  throw new AlteredRow(`a ${kind} row in the ledger was altered outside the broker`)
}

/** Never a refusal that the caller could mend: an alarm, answered as an internal error. */
export class AlteredRow extends Error {
  override name = 'AlteredRow'
}

/** For what is to be taken back, and not to be stopped, where a row was altered. The alarm was raised already. */
export function isUnaltered(verify: () => unknown): boolean {
  try {
    verify()
    return true
  } catch (error) {
    if (error instanceof AlteredRow) return false
    throw error
  }
}
