/** What is proven of tasks, agents and issuers: options; each command's work is in its own file. */
import type { Command } from 'commander'
import { gather, JSON_OPTION, wholeNumber, withOperator, withProviderLogs } from './command-options.ts'
import { CLI_LIMITS } from './limits.ts'
import { TASK_FILE_HELP } from './task-file.ts'
import type { Terminal } from './terminal.ts'

export function addProofCommands(program: Command, terminal: Terminal): void {
  const receipt = program.command('receipt').description('what is proven of a task that has ended')
  receipt
    .command('show')
    .description('the receipt of a settled task, in words')
    .argument('[task]', 'its id')
    .option('--file <file>', 'from a file instead of the broker')
    .option('--jws', 'print the signed receipt itself, to keep it')
    .option('--task-token-file <file>', 'the file with its token')
    .option('--operator-token-file <file>', 'as an operator, for any task (mode 0600)')
    .option('--broker <url>', "as an operator: the operators' address")
    .option(...JSON_OPTION)
    .addHelpText('after', `\n${TASK_FILE_HELP}`)
    .action(async (id, options) => (await import('./receipt.ts')).receiptShow(terminal, id, options))
  receipt
    .command('verify')
    .description('check receipts, with a key set and nothing else')
    .argument('<receipt...>', 'files, each with one signed receipt')
    .requiredOption('--keys <file>', 'from /.well-known/receipt-jwks.json of the broker')
    .option('--issuer <url>', 'the public URL of the broker that must have signed them')
    .option('--tree', "fail where a child's receipt is not among them")
    .option(...JSON_OPTION)
    .action(async (files, options) =>
      (await import('./receipt-verify.ts')).receiptVerify(terminal, files, options),
    )
  withProviderLogs(withOperator(program.command('trail')))
    .description('the whole story of a task: who, why, by which rule, what it held, what ended it')
    .argument('<task>', 'its id')
    .action(async (id, options) => (await import('./trail.ts')).trail(terminal, id, options))
  withProviderLogs(withOperator(program.command('review')))
    .description('what each agent had and used in a period, what it never used, and a narrower ceiling')
    .option('--from <date>', 'its first moment')
    .option('--to <date>', 'up to here (now)')
    .option('--days <n>', 'instead of --from', wholeNumber, CLI_LIMITS.reviewDays)
    .option('--agent <name>', 'one agent only')
    .option(
      '--app <login>',
      "whose credentials in the logs must all be this broker's: mayfly[bot], a role's ARN; may be repeated",
      gather,
    )
    .option('--propose <dir>', 'write each agent with the narrower ceiling there; no file is replaced')
    .action(async options => (await import('./review.ts')).review(terminal, options))
  withOperator(program.command('drill'))
    .description('mint a canary, revoke it, and see it dead from outside')
    .argument('<issuer>', 'one that has a drill in the settings')
    .action(async (issuer, options) => (await import('./drill.ts')).drill(terminal, issuer, options))
}
