import { type Command, Option } from 'commander'
import { agentCertify, agentChange, agentShow, agents, type ChangeVerb } from './agents.ts'
import { DEFAULT_CONFIG, withOperator, withProviderLogs } from './command-options.ts'
import type { Terminal } from './terminal.ts'

const CHANGES: readonly (readonly [ChangeVerb, string])[] = [
  ['suspend', 'end every task of an agent and below it, and let it open and mint nothing'],
  ['quarantine', 'let an agent, and whoever works below it, read and nothing more'],
  ['activate', 'take a suspension or a quarantine back'],
  ['offboard', 'end an agent for good'],
]

/** `mayfly agents …` */
export function addAgentCommands(program: Command, terminal: Terminal): void {
  const agent = withOperator(program.command('agents'))
    .description('the registered agents: how they stand, and who answers for them')
    .addOption(
      new Option('--flag <flag>', 'only those').choices(['ownerless', 'unused', 'expired', 'uncertified']),
    )
    .option('--flagged', 'only those that somebody should look at')
    .action(options => agents(terminal, options))
  withOperator(agent.command('list', { hidden: true })).action((_, command: Command) =>
    agents(terminal, command.optsWithGlobals()),
  )
  withOperator(agent.command('show'))
    .description('one agent')
    .argument('<agent>', 'its name')
    .action((name, _, command: Command) => agentShow(terminal, name, command.optsWithGlobals()))
  for (const [verb, description] of CHANGES) {
    const command = withOperator(agent.command(verb))
      .description(description)
      .argument('<agent>', 'its name')
      .requiredOption('--reason <text>', 'why, for the audit log')
      .action((name, _, command: Command) => agentChange(terminal, verb, name, command.optsWithGlobals()))
    if (verb !== 'suspend' && verb !== 'quarantine') continue
    command
      .option('--offline', 'by ledger and key alone; a broker with its own ledger must not be running')
      .option('--config <file>', `with --offline: settings (default: "${DEFAULT_CONFIG}")`)
  }
  withOperator(agent.command('certify'))
    .description('vouch for an agent, and its build, until a date')
    .argument('<agent>', 'its name')
    .requiredOption('--reason <text>', 'why, for the audit log')
    .requiredOption('--until <date>', 'afterwards it is suspended')
    .option('--digest <sha256:hex>', 'of the build, where the agent declares one')
    .action((name, _, command: Command) => agentCertify(terminal, name, command.optsWithGlobals()))
  withProviderLogs(withOperator(agent.command('offboarding')))
    .description('what became of an agent that leaves, and what it made')
    .argument('<agent>', 'its name')
    .action(async (name, _, command: Command) =>
      (await import('./agents-offboarding.ts')).agentOffboarding(terminal, name, command.optsWithGlobals()),
    )
  agent
    .command('build-digest')
    .description('the digest of a build: over its files, whatever their order')
    .argument('<file...>', 'model, prompt, tools: text files')
    .action(async (files, _, command: Command) =>
      (await import('./agents-build-digest.ts')).buildDigest(terminal, files, command.optsWithGlobals()),
    )
}
