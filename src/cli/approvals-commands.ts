import type { Command } from 'commander'
import { ASK_HELP } from './ask.ts'
import { gather, wholeNumber, withOperator } from './command-options.ts'
import { TASK_FILE_HELP } from './task-file.ts'
import type { Terminal } from './terminal.ts'

/** What humans are asked, and what they agree to beforehand; and how a task waits for them. */
export function addApprovalCommands(program: Command, terminal: Terminal): void {
  const approvals = program.command('approvals').description('what waits for humans')
  withOperator(approvals.command('list', { isDefault: true }))
    .description('what waits for an answer, newest first')
    .option('--all', 'also what is over')
    .option('--agent <name>', 'of one agent')
    .action(async options => (await import('./approvals.ts')).approvals(terminal, options))
  withOperator(approvals.command('show'))
    .description('one of them whole: what would be minted, who agreed, what is missing')
    .argument('<approval>', 'its id')
    .action(async (id, options) => (await import('./approvals.ts')).approvalShow(terminal, id, options))
  withOperator(approvals.command('approve'))
    .description('agree to exactly what is shown; you sign in for that alone')
    .argument('<approval>', 'its id')
    .option('--reason <text>', 'why, for the audit log')
    .action(async (id, options) =>
      (await import('./approvals.ts')).approvalAnswerWith(terminal, id, { ...options, verb: 'approve' }),
    )
  withOperator(approvals.command('deny'))
    .description('say no, and end it; you sign in for that alone')
    .argument('<approval>', 'its id')
    .requiredOption('--reason <text>', 'why; the agent is told')
    .action(async (id, options) =>
      (await import('./approvals.ts')).approvalAnswerWith(terminal, id, { ...options, verb: 'deny' }),
    )
  addPreapprovalCommands(program, terminal)
  program
    .command('check-in')
    .description('say that a task may go on; you sign in for that alone')
    .argument('<task>', 'its id')
    .option('--broker <url>', "the operators' address")
    .option('--json', 'print JSON')
    .action(async (id, options) => (await import('./check-in.ts')).checkIn(terminal, id, options))
  addTaskWait(program, terminal)
}

function addPreapprovalCommands(program: Command, terminal: Terminal): void {
  const windows = program.command('preapprovals').description('consent given beforehand')
  withOperator(windows.command('list', { isDefault: true }))
    .description('windows that are open')
    .option('--all', 'also what is over')
    .action(async options => (await import('./preapprovals.ts')).preapprovals(terminal, options))
  withOperator(windows.command('open'))
    .description('agree beforehand: this agent, what this covers, this long, this often')
    .requiredOption('--agent <name>', 'which agent')
    .option('--ask <ask>', 'what is covered, see below', gather)
    .option('--ask-json <json>', 'the same in JSON', gather)
    .requiredOption('--minutes <n>', 'how long', wholeNumber)
    .option('--uses <n>', 'how many credentials', wholeNumber, 1)
    .requiredOption('--reason <text>', 'why, for the audit log')
    .addHelpText('after', `\n${ASK_HELP}`)
    .action(async options => (await import('./preapprovals.ts')).preapprovalOpen(terminal, options))
  withOperator(windows.command('revoke'))
    .description('take a window back')
    .argument('<window>', 'its id')
    .action(async (id, options) =>
      (await import('./preapprovals.ts')).preapprovalRevoke(terminal, id, options),
    )
}

function addTaskWait(program: Command, terminal: Terminal): void {
  const task = program.commands.find(command => command.name() === 'task')
  task
    ?.command('wait')
    .description('wait until humans have answered for what the task asked')
    .argument('[task]', 'its id')
    .option('--seconds <n>', 'how long', wholeNumber, 600)
    .option('--task-token-file <file>', 'the file with its token')
    .option('--json', 'print JSON')
    .addHelpText('after', `\n${TASK_FILE_HELP}`)
    .action(async (id, options) => (await import('./task-wait.ts')).taskWait(terminal, id, options))
}
