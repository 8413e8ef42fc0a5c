/** What operators see and end: options; each command's work is in its own file. */
import { type Command, Option } from 'commander'
import { DEFAULT_CONFIG, JSON_OPTION, wholeNumber, withOperator } from './command-options.ts'
import { leases } from './leases.ts'
import { CLI_LIMITS } from './limits.ts'
import { operatorRenew } from './operator-renew.ts'
import { OPERATOR_HELP } from './operator-token.ts'
import { revocations, unblock } from './revocations.ts'
import { revoke } from './revoke.ts'
import type { Terminal } from './terminal.ts'

export function addOperatorCommands(program: Command, terminal: Terminal): void {
  const operator = program
    .command('operator')
    .description('access for humans')
    .addHelpText('after', `\n${OPERATOR_HELP}`)
  operator
    .command('init')
    .description('write a first operator token to a file; the broker must not be running')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .option('--out <file>', 'where the token goes (mode 0600)', 'operator.token')
    .option('--name <name>', 'who it is for', 'first operator')
    .option('--replace', 'in place of an existing file')
    .option(...JSON_OPTION)
    .addHelpText('after', `\n${OPERATOR_HELP}`)
    .action(async options => (await import('./operator-init.ts')).operatorInit(terminal, options))
  withOperator(operator.command('renew'))
    .description('exchange a token that is still good for one of another 24 hours')
    .action(options => operatorRenew(terminal, options))

  withOperator(program.command('leases'))
    .description('every credential that was handed out, newest first')
    .option('--task <id>', 'of one task')
    .option('--agent <name>', 'of one agent')
    .option('--issuer <name>', 'of one issuer')
    .addOption(
      new Option('--state <state>', 'outstanding is everything but closed').choices([
        ...['intended', 'active', 'revoking', 'closed', 'outstanding'],
      ]),
    )
    .option('--limit <n>', 'rows on this page', wholeNumber, CLI_LIMITS.leaseRows)
    .option('--after <cursor>', 'the next page, as the page before names it')
    .option('--offline', 'by ledger and key alone; a broker with its own ledger must not be running')
    .option('--config <file>', `with --offline: settings (default: "${DEFAULT_CONFIG}")`)
    .action(options => leases(terminal, options))
  withOperator(program.command('budgets'))
    .description('what is used up of what agents, their owners and a lineage may have')
    .option('--agent <name>', 'of one agent, and its owner')
    .option('--owner <name>', 'of one owner, and its agents')
    .option('--task <id>', 'of the lineage that a task belongs to')
    .option('--after <cursor>', 'the next page, as the page before names it')
    .action(async options => (await import('./budgets.ts')).budgets(terminal, options))
  withOperator(program.command('revoke'))
    .description('end tasks, or take credentials back, now; new ones of the same are refused meanwhile')
    .option('--task <id>', 'a task and everything below it')
    .option('--agent <name>', 'every task of an agent')
    .option('--human <id>', 'every task on behalf of a human, ISSUER#SUBJECT')
    .option('--issuer <name>', "an issuer's credentials")
    .option('--repository <name>', 'credentials for a repository, owner/name or its number')
    .option('--role <arn>', 'credentials of a role')
    .option('--lease <id>', 'one credential')
    .option('--everything', 'every task')
    .requiredOption('--reason <text>', 'why, for the audit log')
    .option('--hold', 'refuse new tasks and credentials of the same until unblocked')
    .option('--unregistered', 'with --hold: an agent or issuer of this name that is not registered (yet)')
    .option('--dry-run', 'list what would end, and change nothing')
    .option(
      '--watch-seconds <n>',
      'how long to wait for the ends',
      wholeNumber,
      CLI_LIMITS.revokeWatchSeconds,
    )
    .option('--offline', 'by ledger and key alone; a broker with its own ledger must not be running')
    .option('--config <file>', `with --offline: settings (default: "${DEFAULT_CONFIG}")`)
    .addHelpText('after', `\n${REVOKE_HELP}`)
    .action(options => revoke(terminal, options))
  withOperator(program.command('revocations'))
    .description('what was revoked, newest first; or how far one revocation is')
    .argument('[revocation]', 'its id')
    .option('--blocking', 'only those that refuse new tasks and credentials')
    .action((id, options) => revocations(terminal, id, options))
  withOperator(program.command('unblock'))
    .description('allow again what a revocation refuses')
    .argument('<revocation>', 'its id')
    .action((id, options) => unblock(terminal, id, options))
}

const REVOKE_HELP = `Several of --task, --agent, --human, --issuer, --repository, --role and --lease must all be so. With
--task, --agent and --human alone, tasks end with all they hold; with any of the others, credentials are taken back and their
tasks go on. A task that is still wanted can get new ones afterwards: --hold refuses them.

An agent or issuer that nobody knows is refused. The exit code is 5 where a task, lease, repository, role or human
matched nothing that lives (what --hold refuses is refused all the same), and 4 while something still waits.`
