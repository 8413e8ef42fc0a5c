/** Commands that hand credentials to other programs: their options; each command's work is in its own file. */
import { type Command, Option } from 'commander'
import { ASK_HELP } from './ask.ts'
import { ENV_STYLES } from './child-environment.ts'
import { BEHALF_OPTION, wholeNumber, withOpening } from './command-options.ts'
import { EVIDENCE_HELP } from './evidence.ts'
import { exec } from './exec.ts'
import { CLI_LIMITS } from './limits.ts'
import { SIGN_IN_OPTIONS } from './sign-in-options.ts'
import { TASK_FILE_HELP } from './task-file.ts'
import type { Terminal } from './terminal.ts'
import { token } from './token.ts'

export function addCredentialCommands(program: Command, terminal: Terminal): void {
  withOpening(program.command('token'))
    .description('print one credential, for another program to read')
    .option(...BEHALF_OPTION)
    .option('--task-token-file <file>', 'of the task that asks; without one a task is opened and lives on')
    .option('--ask-id <id>', 'instead of --ask: one that the task made before, and that was granted since')
    .option('--wait-seconds <n>', 'how long to wait for humans', wholeNumber, CLI_LIMITS.answerSeconds)
    .option('--print', 'even where a terminal would show it')
    .option('--json', 'print the whole answer')
    .addHelpText('after', `\n${ASK_HELP}\n\n${EVIDENCE_HELP}\n\n${TASK_FILE_HELP}`)
    .action(options => token(terminal, options))
  withOpening(program.command('exec'))
    .description('run a command that holds credentials for as long as it runs')
    .argument('<command...>', 'after --, the command and its arguments')
    .option(...BEHALF_OPTION)
    .option(
      '--heartbeat-seconds <n>',
      'end the task after such a silence',
      wholeNumber,
      CLI_LIMITS.heartbeatSeconds,
    )
    .option(
      '--grace-seconds <n>',
      'from SIGTERM to SIGKILL, when the task ends first',
      wholeNumber,
      CLI_LIMITS.graceSeconds,
    )
    .option('--wait-seconds <n>', 'how long to wait for humans', wholeNumber, CLI_LIMITS.answerSeconds)
    .option('--mints <n>', 'how many credentials an approval is to be good for', wholeNumber)
    .addOption(
      new Option('--env <style>', 'what the command finds in its environment, see below')
        .choices(ENV_STYLES)
        .default('auto'),
    )
    .option(...SIGN_IN_OPTIONS.signIn)
    .option(...SIGN_IN_OPTIONS.device)
    .option(...SIGN_IN_OPTIONS.signInAt)
    .option('--aws-token-file', 'the token for the AWS SDKs in a file; older AWS CLIs do not know it')
    .option('--scan', 'fail where git says that a credential of the task was added; report what was pushed')
    .option('--quiet', 'say nothing but errors')
    .passThroughOptions()
    .addHelpText('after', `\n${EXEC_HELP}\n\n${ASK_HELP}\n\n${EVIDENCE_HELP}`)
    .action((command, options) => exec(terminal, command, options))
  program
    .command('git-credential')
    .description("git's credential helper: a token of the task for the repository that git wants")
    .argument('<operation>', 'get, store or erase, as git adds it')
    .option('--task-token-file <file>', 'of the task (MAYFLY_TASK_TOKEN_FILE)')
    .addHelpText('after', `\n${GIT_HELP}`)
    .action(async (operation, options) =>
      (await import('./git-credential.ts')).gitCredential(terminal, operation, options),
    )
}

const GIT_HELP = `For GitHub's repositories, and nobody's helper but ours:
  git config --global --replace-all credential.https://github.com.helper ''
  git config --global --add credential.https://github.com.helper '!mayfly git-credential'
  git config --global credential.https://github.com.useHttpPath true
Under mayfly exec and mayfly agent it asks them; elsewhere the task is the one of MAYFLY_TASK_TOKEN_FILE.
Without a task it says nothing, and git goes on as if it were not there. See docs/git.md.`

const EXEC_HELP = `The command finds its credentials in its environment, and nothing to get others with. Clients that ask again
get a handle, which is good for as long as the task, and no secret:
  GitHub     git asks "mayfly git-credential"; GH_TOKEN and GITHUB_TOKEN for what reads only these
  AWS        AWS_CONTAINER_CREDENTIALS_FULL_URI and its token: SDKs and the AWS CLI ask there
  the rest   MAYFLY_TOKEN_<ISSUER>, a JWT for example
  --env handles     leaves out all secrets; MAYFLY_SOCKET is where "mayfly git-credential" and others ask
  --env variables   secrets alone, AWS_ACCESS_KEY_ID and its kind among them; they end as they are
When it ends, so does the task, and everything it held is revoked. When the task ends first, at its
deadline (--minutes) for example, the command is stopped. Whoever runs the command is the same user as
mayfly: what it must not have, it must not be able to read elsewhere.`
