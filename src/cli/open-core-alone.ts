import type { Broker } from '../broker/broker.ts'
import type { LoadedSettings } from '../config.ts'
import { type Core, type Edge, openCore } from '../open-core.ts'
import { openIssuersAlone } from '../registry/issuers-alone.ts'
import { LedgerInUse } from '../store/sqlite-file.ts'
import { note, printable } from './print.ts'
import { CommandError, type Terminal } from './terminal.ts'

/** Ledger and keys without a broker around them. @throws CommandError where a broker has the ledger; `instead` says what then */
export async function openCoreAlone(settings: LoadedSettings, edge: Edge, instead: string): Promise<Core> {
  try {
    return await openCore(settings, edge)
  } catch (cause) {
    if (!(cause instanceof LedgerInUse)) throw cause
    throw new CommandError(
      `the broker is running and has the ledger to itself; this works on a stopped one.\n  ${instead}\n` +
        '  Otherwise stop the broker first.',
      { cause },
    )
  }
}

/**
 * The broker of such a core with the issuers of teams, which are in the ledger: what they minted is ended, too.
 * Whatever else is registered, and in whatever state it is, stops nothing.
 */
export async function withTeamIssuers(
  terminal: Pick<Terminal, 'err'>,
  { broker, registry, fileIssuers }: Core,
): Promise<Broker> {
  const { opened, leftOut } = await openIssuersAlone(broker, registry.options)
  for (const { name, why } of leftOut)
    note(
      terminal,
      `the issuer ${printable(name)} is left out, and its credentials stay: ${printable(why)}.\n` +
        `  See them with: mayfly leases --offline --issuer ${printable(name)} --state outstanding`,
    )
  return { ...broker, issuers: new Map([...fileIssuers, ...opened]) }
}
