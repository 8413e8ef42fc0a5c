/**
 * The registry of one broker: its files put in force, what is registered anywhere installed here, and both kept
 * up while it runs.
 */
import type { Broker } from '../broker/broker.ts'
import { reassess } from '../broker/decisions/reassess.ts'
import { registerPolicies } from '../broker/decisions/register-policies.ts'
import type { Schedule } from '../broker/wake-loop.ts'
import type { PolicyHost } from '../policy-host/host.ts'
import { LedgerUnavailable } from '../store/ledger.ts'
import type { FileSet } from './files.ts'
import type { Installed, InstalledOptions } from './installed.ts'
import { preparePolicies } from './policies.ts'
import { type FilesOutcome, registerFiles, superseded } from './register-files.ts'
import { type Resource, resourceOf } from './resource.ts'
import { type RegistryState, readState } from './state.ts'

export type RegistryOptions = InstalledOptions & {
  installed: Installed
  policies: PolicyHost
  /** Whether the ledger is this broker's alone: its files are then never behind anybody's. */
  isAlone: boolean
  /** Waits, ms, on the process's own timers. */
  wait: (ms: number) => Promise<void>
}

export type LiveRegistry = {
  options: RegistryOptions
  /**
   * Puts files in force and installs everything.
   *
   * @param install what else comes into force with them
   * @returns the agents that changed, or why other files stay in force: the broker then mints nothing
   * @throws LedgerUnavailable once it was asked often enough
   */
  use(files: FileSet, install?: () => void): Promise<FilesOutcome>
  /** Installs what was registered meanwhile. Resolves when what the ledger had at the call is installed. */
  follow(): Promise<void>
  /** From now on this is how the files are read again, where others came into force. */
  readFilesBy(read: () => Promise<FileSet>): void
}

export function createRegistry(broker: Broker, options: RegistryOptions): LiveRegistry {
  const { installed, isAlone, policies, settings, wait } = options
  /** The files that this broker has; none for a command that works on a ledger without them. */
  let mine: FileSet | undefined
  let readFiles: (() => Promise<FileSet>) | undefined
  let filesReadAt = 0
  let queue: Promise<unknown> = Promise.resolve()
  let next: Promise<void> | undefined

  function inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = queue.then(run)
    queue = turn.catch(() => {})
    return turn
  }

  async function put(files: FileSet): Promise<FilesOutcome> {
    for (let left = broker.limits.reconfigureTries; ; left--) {
      try {
        return await registerFiles(broker, files, { settings, isAlone, replaces: mine?.digest })
      } catch (error) {
        if (!(error instanceof LedgerUnavailable) || left <= 1) throw error
        // What became of it is not known: it is said again, since a broker on other files mints nothing.
        broker.log.warn({ err: error }, 'the configuration is put to the ledger again')
        await wait(broker.limits.backoffBaseMs)
      }
    }
  }

  async function use(files: FileSet, install = () => {}): Promise<FilesOutcome> {
    const outcome = await put(files)
    mine = files
    await installFrom(await readState(broker), outcome.inForce ? install : undefined)
    return outcome
  }

  async function catchUp(): Promise<void> {
    const head = await broker.ledger.read.registry()
    const generation = head?.generation ?? 0
    if (generation < installed.generation()) {
      broker.log.error({ alarm: 'registry_went_back', generation }, 'the ledger has forgotten registrations')
      return
    }
    const isBehind = mine !== undefined && head?.files_digest !== mine.digest
    if (generation === installed.generation() && !isBehind) return
    if (isBehind) await lookAtFiles(head?.files_digest ?? null)
    if (generation !== installed.generation() || installed.stale() !== undefined)
      await installFrom(await readState(broker))
  }

  /** The files in force may have come to this host, too, with nobody to say so. */
  async function lookAtFiles(wanted: string | null): Promise<void> {
    if (readFiles === undefined || broker.now() - filesReadAt < broker.limits.filesLookMs) return
    filesReadAt = broker.now()
    try {
      const read = await readFiles()
      if (read.digest === wanted) mine = read
    } catch (error) {
      broker.log.debug({ err: error }, 'the files could not be read')
    }
  }

  async function installFrom(state: RegistryState, alongside?: () => void): Promise<void> {
    const before = installed.stale()
    const stale = await whyStale(state)
    const moved = state.generation !== installed.generation() || before !== stale
    const resources = [...state.rows.values()].map(resourceOf)
    const prepared = await preparePolicies(policies, settings, resources)
    installed.install(broker, state, stale)
    prepared.install()
    alongside?.()
    await followPlugins(resources)
    await registerPolicies(broker)
    if (!moved) return
    if (stale !== undefined) {
      broker.log.error({ alarm: 'configuration_stale', generation: state.generation }, stale)
      return
    }
    broker.log.info({ generation: state.generation }, 'what is registered was installed')
    try {
      await reassess(broker)
    } catch (error) {
      // It is noted in the ledger; the watch goes on with it.
      broker.log.warn({ err: error }, 'agents that changed are still to be looked at')
    }
  }

  /** The schema speaks of the plugins that are installed: the same policies once more, where these are others now. */
  async function followPlugins(resources: readonly Resource[]): Promise<void> {
    try {
      const again = await preparePolicies(policies, settings, resources)
      again.install()
    } catch (error) {
      // What the plugins before had is judged on; an ask to a new one is denied.
      broker.log.error(
        { alarm: 'policies_not_loaded', err: error },
        'the policies do not fit what is installed',
      )
    }
  }

  async function whyStale({ head }: RegistryState): Promise<string | undefined> {
    if (mine === undefined || head === undefined || head.files_digest === mine.digest) return undefined
    const row = head.files_digest === null ? undefined : await broker.ledger.read.fileSet(head.files_digest)
    return superseded(row ?? { digest: head.files_digest ?? '', at: head.changed_at })
  }

  return {
    options,
    use: (files, install) => inTurn(() => use(files, install)),
    follow() {
      // Whoever asks while one waits for its turn is served by that one.
      next ??= inTurn(() => {
        next = undefined
        return catchUp()
      })
      return next
    },
    readFilesBy(read) {
      readFiles = read
    },
  }
}

/** Looks every `followMs` whether anything was registered elsewhere; returns how to end that. */
export function keepFollowing(
  broker: Broker,
  registry: LiveRegistry,
  schedule: Schedule,
): () => Promise<void> {
  let stopped = false
  let looking = Promise.resolve()
  let cancel = () => {}
  const again = () => {
    if (stopped) return
    cancel = schedule(broker.limits.followMs, () => {
      looking = registry
        .follow()
        .catch(error => broker.log.warn({ err: error }, 'it is not known whether anything was registered'))
        .finally(again)
    })
  }
  again()
  return async () => {
    stopped = true
    cancel()
    await looking
  }
}
