import type { Broker } from '../broker/broker.ts'
import type { LoadedSettings } from '../config.ts'
import { publishIdentity } from '../http/identity-listener.ts'
import { type Core, type Edge, openCore } from '../open-core.ts'
import { openIssuersAlone } from '../registry/issuers-alone.ts'
import { openAlone } from './open-alone.ts'
import { note, printable } from './print.ts'
import type { Terminal } from './terminal.ts'

/** Ledger and keys without a broker around them. @throws CommandError where a broker has the ledger; `instead` says what then */
export function openCoreAlone(settings: LoadedSettings, edge: Edge, instead: string): Promise<Core> {
  return openAlone(() => openCore(settings, edge), instead)
}

/**
 * AWS knows Mayfly by keys that it fetches from it, and no broker is there to be asked: from the first signature
 * that AWS is to check, they are published where the broker would.
 *
 * @returns ends it
 */
export function publishWhileAlone(
  terminal: Pick<Terminal, 'err'>,
  core: Core,
  { settings }: LoadedSettings,
  { files, schedule, workloadApi }: Edge,
): () => Promise<void> {
  const { broker, webIdentityKeys } = core
  const { readFile } = files
  let begun: Promise<{ close(): Promise<void> } | undefined> | undefined
  async function publish() {
    try {
      await webIdentityKeys.refresh()
      return await publishIdentity(broker, { settings, webIdentityKeys, readFile, schedule, workloadApi })
    } catch (error) {
      note(
        terminal,
        `the key set that AWS checks Mayfly by is not published from here: ${messageOf(error)}.\n` +
          `  AWS sessions can be ended only where ${settings.public_url}/aws/.well-known/jwks.json is answered all\n` +
          '  the same, as by another broker on this ledger. Otherwise free the port, and run this again.',
      )
      return undefined
    }
  }
  core.setPublish(async () => {
    begun ??= publish()
    await begun
  })
  return async () => (await begun)?.close()
}

const messageOf = (error: unknown): string =>
  printable(error instanceof Error ? error.message : String(error))

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
