/** `mayfly attest ...`: its options; the work is in its own file. */
import type { Command } from 'commander'
import { DEFAULT_CONFIG } from './command-options.ts'
import { EVIDENCE_HELP } from './evidence.ts'
import type { Terminal } from './terminal.ts'

const CHECK_HELP = `Without --broker it is checked by the settings alone: no broker runs, keys are fetched from their issuers. With
--broker an operator asks the broker, which knows what teams registered and what was used already; it is written
down there. Neither uses the evidence up. What policies make of it: mayfly policy simulate.
Exit codes: 0 it is exactly one agent's, 1 it is rejected or nobody's, 2 it could not be checked.`

export function addAttestCommands(program: Command, terminal: Terminal): void {
  program
    .command('attest')
    .description('evidence of workloads')
    .command('check')
    .description('what is right and wrong with evidence, check by check; nothing is opened')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .option('--evidence-file <file>', 'a JWT, or certificates in PEM; - for stdin')
    .option('--agent <name>', 'which agent it should be')
    .option('--broker <url>', 'ask this broker, at the operators’ address, instead of the settings')
    .option('--operator-token-file <file>', 'with --broker: mode 0600 (MAYFLY_OPERATOR_TOKEN_FILE)')
    .option('--json', 'print JSON')
    .addHelpText('after', `\n${CHECK_HELP}\n\n${EVIDENCE_HELP}`)
    .action(async options => (await import('./attest-check.ts')).attestCheck(terminal, options))
}
