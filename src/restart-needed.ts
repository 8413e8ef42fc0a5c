/** Which settings are others by now than those that this broker runs with: mayfly.yaml counts from the next start. */
import type { Log } from './broker/broker.ts'
import { ConfigError, type ConfigFiles, readSettings, type SettingsShape } from './config.ts'
import { differences } from './registry/plan.ts'

export type RestartNeeded = {
  /** Reads the file again, and says in the log what of it waits for a restart. Never throws. */
  look(): Promise<void>
  /** The sections of mayfly.yaml in which something waits, as of the last look. */
  sections(): readonly string[]
}

/** @param running as the file said when this broker was started */
export function createRestartNeeded(
  path: string,
  running: SettingsShape,
  { files, log }: { files: ConfigFiles; log: Log },
): RestartNeeded {
  let sections: readonly string[] = []

  async function look(): Promise<void> {
    try {
      const changed = differences(running, await readSettings(path, files)).map(one => one.path)
      sections = [...new Set(changed.map(one => one.split('.')[0]!))]
      if (changed.length > 0)
        log.warn({ settings: changed }, `settings that changed count after a restart: ${changed.join(', ')}`)
    } catch (error) {
      const problem = error instanceof ConfigError ? error.message : `${path} could not be read`
      log.warn(
        { problem },
        'this broker goes on with the settings that it was started with, and would not start again',
      )
    }
  }

  return { look, sections: () => sections }
}
