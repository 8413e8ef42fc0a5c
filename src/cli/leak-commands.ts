/** Commands about secrets in the wrong place. */
import type { Command } from 'commander'
import { withOperator } from './command-options.ts'
import type { Terminal } from './terminal.ts'

export function addLeakCommands(program: Command, terminal: Terminal): void {
  withOperator(program.command('leaked'))
    .description('whose a secret is that turned up somewhere; with --yes, end what it belongs to')
    .argument(
      '[token]',
      'the secret; without it, or with -, from standard input (an argument is seen by others)',
    )
    .option('--reason <text>', 'where it was found, for the audit log')
    .option('--yes', 'end its task and everything that held, and put its agent into quarantine by rule')
    .addHelpText('after', `\n${LEAKED_HELP}`)
    .action(async (token, options) => (await import('./leaked.ts')).leaked(terminal, token, options))
  program
    .command('scan')
    .description('look for credentials of a task, and for broad access added to workflow files')
    .argument('[paths...]', 'files and folders; - is standard input, a diff or any text')
    .option(
      '--diff [commit]',
      'what the working tree adds to HEAD, or to a commit (this is what no path means)',
    )
    .option('--staged', 'what the index adds to HEAD')
    .option('--repository <folder>', 'where git is asked', '.')
    .option('--task <id>', 'of which task, by its file')
    .option('--task-token-file <file>', 'the file with its token')
    .option('--json', 'print SARIF')
    .addHelpText('after', `\n${SCAN_HELP}`)
    .action(async (paths, options) => (await import('./scan.ts')).scan(terminal, paths, options))
}

const LEAKED_HELP = `An operator sends hashes; without an operator's token, and with --yes, the secret itself is sent to the
broker, which ends it and says nothing of whose it was. Exit code 1: nothing is known, or nothing has ended yet.`

const SCAN_HELP = `With MAYFLY_TASK_TOKEN_FILE, --task or --task-token-file the credentials of that task are found by keyed hash,
in any text and in base64, URLs, JSON, UTF-16 and split lines. Without a task only what has the form of a token.
No secret is printed. Exit codes: 0 clean, 1 something was found, 2 it could not be looked at.`
