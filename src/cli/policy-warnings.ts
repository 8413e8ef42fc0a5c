import { ConfigError } from '../config.ts'
import { describeFinding } from './policy-lint.ts'
import { compileFolder, lintInstallation, readInstallation } from './policy-set.ts'
import type { Terminal } from './terminal.ts'

/**
 * What `mayfly policy lint` finds in the policies of a configuration that is good, and whatever is wrong with its
 * candidate set: neither keeps a broker from starting.
 */
export async function policyWarnings(terminal: Terminal, config: string): Promise<string[]> {
  const installation = await readInstallation(terminal, config)
  const { policies_dir: folder, policies_shadow_dir: candidate } = installation.settings
  const warnings: string[] = []
  if (folder !== undefined) {
    const set = await compileFolder(terminal, installation, folder)
    warnings.push(...lintInstallation(set, installation).map(describeFinding))
  }
  if (candidate === undefined) return warnings
  try {
    const set = await compileFolder(terminal, installation, candidate)
    return [...warnings, ...lintInstallation(set, installation).map(describeFinding)]
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return [...warnings, `candidate: ${error.message}`]
  }
}
