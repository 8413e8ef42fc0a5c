import { Command } from 'commander'
import { addAgentCommands } from './agents-commands.ts'
import { addApprovalCommands } from './approvals-commands.ts'
import { addAttestCommands } from './attest-commands.ts'
import { DEFAULT_CONFIG, JSON_OPTION } from './command-options.ts'
import { addCredentialCommands } from './credential-commands.ts'
import { addImportCommands } from './import-commands.ts'
import { addLeakCommands } from './leak-commands.ts'
import { addLocalCommands } from './local-commands.ts'
import { addMcpCommands } from './mcp-commands.ts'
import { addOperatorCommands } from './operator-commands.ts'
import { addPeopleCommands } from './people-commands.ts'
import { addPolicyCommands } from './policy.ts'
import { addProofCommands } from './proof-commands.ts'
import { addRegistryCommands } from './registry-commands.ts'
import { addTaskCommands } from './task-commands.ts'
import type { Terminal } from './terminal.ts'

const EXIT_HELP = `
Exit codes: 0 done, 1 failed, 2 the command line is wrong, 3 denied, 4 unavailable (try again later).
exec: the command's own; 128 and the signal's number where one ended it; 127 where there is no such
program, 126 where it does not run. Before the command has started, the codes above.
--json prints one document on standard output. serve logs JSON; exec leaves standard output to its command,
and what it says itself is on standard error (--quiet: errors only).`

/**
 * Every command, its options and its one line of help; each command's work is in its own file. Those that
 * need the broker's own code load it when they run: a client starts in a third of the time without it.
 */
export function createProgram(terminal: Terminal, version: string): Command {
  const program = new Command('mayfly')
    .description('Short-lived credentials that live as long as the task, and die with it.')
    .version(version)
    .enablePositionalOptions()
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.err })
    .showHelpAfterError('(add --help for what it expects)')
    .exitOverride()
    .addHelpText('after', EXIT_HELP)
  addBrokerCommands(program, terminal)
  addTaskCommands(program, terminal)
  addCredentialCommands(program, terminal)
  addLocalCommands(program, terminal)
  addMcpCommands(program, terminal, version)
  addPeopleCommands(program, terminal)
  addOperatorCommands(program, terminal)
  addApprovalCommands(program, terminal)
  addAgentCommands(program, terminal)
  addLeakCommands(program, terminal)
  addProofCommands(program, terminal)
  addAttestCommands(program, terminal)
  addRegistryCommands(program, terminal)
  addImportCommands(program, terminal)
  addPolicyCommands(program, terminal)
  return program
}

function addBrokerCommands(program: Command, terminal: Terminal): void {
  program
    .command('serve')
    .description('run the broker')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .action(async options => (await import('./serve.ts')).serve(terminal, options))
  program
    .command('check')
    .description('read the configuration as serve would, and start nothing')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .option(...JSON_OPTION)
    .action(async options => (await import('./check.ts')).check(terminal, options))
  program
    .command('ledger')
    .description('what the database has been through')
    .command('restored')
    .description('say that the ledger is a backup that was put back, before a broker starts on it')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .option(...JSON_OPTION)
    .action(async options => (await import('./ledger-restored.ts')).ledgerRestored(terminal, options))
  program
    .command('kek')
    .description('the key-encryption key, which the ledger is sealed under')
    .command('rotate')
    .description('put another in its place: seal under both, and when every broker has it, --finish')
    .option('--new-kek-file <file>', 'the key to come (mode 0600; openssl rand -hex 32)')
    .option('--finish', 'kek_file is the new one everywhere: the one before opens nothing any more')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .option(...JSON_OPTION)
    .action(async options => (await import('./kek-rotate.ts')).kekRotate(terminal, options))
  program
    .command('demo')
    .description('watch the main job on this machine, against stand-ins; nothing to set up')
    .option('--stay', 'tell no story: stay up, and say how to play by hand')
    .action(async options => (await import('./demo.ts')).demo(terminal, options))
}
