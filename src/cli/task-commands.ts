/** `mayfly task ...`: its options; each command's work is in its own file. */
import { type Command, Option } from 'commander'
import { ASK_HELP } from './ask.ts'
import { BEHALF_OPTION, JSON_OPTION, wholeNumber, withOpening } from './command-options.ts'
import { EVIDENCE_HELP } from './evidence.ts'
import { taskComplete, taskOpen, taskShow } from './task.ts'
import { TASK_FILE_HELP } from './task-file.ts'
import type { Terminal } from './terminal.ts'

export function addTaskCommands(program: Command, terminal: Terminal): void {
  const task = program.command('task').description('one bounded piece of work, and what it may hold')
  withOpening(task.command('open'))
    .option(...BEHALF_OPTION)
    .description('prove what this is, and open a task; its token goes into a file')
    .option('--heartbeat-seconds <n>', 'end the task after such a silence', wholeNumber)
    .addOption(
      new Option('--lifetime <of>', 'which end of the CI job ends it').choices(['step', 'job', 'run']),
    )
    .option('--task-token-file <file>', 'where the token goes (mode 0600)')
    .option(...JSON_OPTION)
    .addHelpText('after', `\n${ASK_HELP}\n\n${EVIDENCE_HELP}\n\n${TASK_FILE_HELP}`)
    .action(options => taskOpen(terminal, options))
  task
    .command('show')
    .description('how a task stands, and what it holds')
    .argument('[task]', 'its id')
    .option('--task-token-file <file>', 'the file with its token')
    .option(...JSON_OPTION)
    .addHelpText('after', `\n${TASK_FILE_HELP}`)
    .action((id, options) => taskShow(terminal, id, options))
  task
    .command('complete')
    .description('end a task: everything it holds is revoked')
    .argument('[task]', 'its id')
    .addOption(
      new Option('--outcome <outcome>', 'how it ended')
        .choices(['completed', 'failed', 'cancelled'])
        .default('completed'),
    )
    .option('--detail <text>', 'a note for the audit log')
    .option('--receipt <file>', 'where the signed receipt goes, once everything is over')
    .option('--task-token-file <file>', 'the file with its token; it goes when the task is settled')
    .option(...JSON_OPTION)
    .addHelpText('after', `\n${TASK_FILE_HELP}`)
    .action((id, options) => taskComplete(terminal, id, options))
}
