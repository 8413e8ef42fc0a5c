import { cedarSchema } from '../policy/cedar/schema.ts'
import { readInstallation } from './policy-set.ts'
import type { Terminal } from './terminal.ts'

/** `mayfly policy schema`: what policies of this installation may speak of, in Cedar's own words. */
export async function policySchema(terminal: Terminal, options: { config: string }): Promise<void> {
  const { vocabulary } = await readInstallation(terminal, options.config)
  terminal.out(cedarSchema(vocabulary))
}
