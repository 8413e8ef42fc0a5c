import type { Finding } from '../policy/cedar/lint-finding.ts'
import { type RegisteredOptions, withRegistered } from './policy-registered.ts'
import { compileFolder, lintInstallation, type PolicySource, readInstallation } from './policy-set.ts'
import { count, printable, printJson } from './print.ts'
import { EXIT, type Terminal } from './terminal.ts'

/** `mayfly policy lint`: what is wrong with policies that are valid. Fails on errors; with `strict` on warnings too. */
export async function policyLint(
  terminal: Terminal,
  options: PolicySource & RegisteredOptions & { strict?: boolean; json?: boolean },
): Promise<void> {
  const configured = await readInstallation(terminal, options.config)
  const installation = await withRegistered(terminal, configured, options)
  const set = await compileFolder(terminal, installation, options.policies)
  const findings = lintInstallation(set, installation)
  const errors = findings.filter(({ severity }) => severity === 'error').length
  if (options.json) printJson(terminal, { hash: set.hash, findings })
  else {
    terminal.out(findings.map(one => `${describeFinding(one)}\n`).join(''))
    const warnings = findings.length - errors
    terminal.out(
      `${set.policies.length} policies: ${count(errors, 'error')}, ${count(warnings, 'warning')}\n`,
    )
  }
  if (errors > 0 || (options.strict === true && findings.length > 0)) terminal.exitWith(EXIT.failure)
}

export function describeFinding({ file, line, severity, rule, policy, message, remedy }: Finding): string {
  return `${file}:${line}: ${severity}: ${rule}: ${policy} ${printable(message)}\n  ${printable(remedy)}`
}
