/** Commands that stand on the local credential server: `mayfly agent` runs one, the others ask it. */
import { type Command, Option } from 'commander'
import { ASK_HELP } from './ask.ts'
import { gather, wholeNumber, withOpening } from './command-options.ts'
import { EVIDENCE_HELP } from './evidence.ts'
import { CLI_LIMITS } from './limits.ts'
import { SIGN_IN_OPTIONS } from './sign-in-options.ts'
import type { Terminal } from './terminal.ts'

export function addLocalCommands(program: Command, terminal: Terminal): void {
  addAgent(program, terminal)
  program
    .command('aws-credentials')
    .description(
      'an AWS session for credential_process: of the local server, or of a task whose file is held',
    )
    .option('--handle <id>', 'of the ask that is meant, where there are several')
    .option('--ask <ask>', 'the same, as it was asked', gather)
    .option('--ask-json <json>', 'the same in JSON', gather)
    .option('--task-token-file <file>', 'of the task (MAYFLY_TASK_TOKEN_FILE), where there is no server')
    .addHelpText('after', `\n${AWS_HELP}\n\n${ASK_HELP}`)
    .action(async options => (await import('./aws-credentials.ts')).awsCredentials(terminal, options))
}

function addAgent(program: Command, terminal: Terminal): void {
  const agent = program
    .command('agent')
    .description('hold tasks for other programs of this user, until it is told to end')
  const socket = ['--socket <path>', 'where it listens, in a folder of mode 0700'] as const
  withOpening(agent.command('run', { isDefault: true }))
    .description('run it; --ask and --purpose open a first task')
    .option(...socket)
    .option(
      '--heartbeat-seconds <n>',
      'end a task after such a silence',
      wholeNumber,
      CLI_LIMITS.heartbeatSeconds,
    )
    .option('--mints <n>', 'how many credentials an approval is to be good for', wholeNumber)
    .option('--bound-key', 'bind its tasks to a key of its own (DPoP); their JWTs, too')
    .option(...SIGN_IN_OPTIONS.signIn)
    .option(...SIGN_IN_OPTIONS.device)
    .option(...SIGN_IN_OPTIONS.signInAt)
    .addHelpText('after', `\n${AGENT_HELP}\n\n${ASK_HELP}\n\n${EVIDENCE_HELP}`)
    .action(async options => (await import('./local-agent.ts')).localAgent(terminal, options))
  agent
    .command('tasks')
    .description('what it holds')
    .option(...socket)
    .option('--json', 'print JSON')
    .action(async options => (await import('./local-tasks.ts')).localTasks(terminal, options))
  agent
    .command('open')
    .description('have it open a task, with its own evidence')
    .requiredOption('--purpose <text>', 'what for, for the audit log')
    .option('--ask <ask>', 'what is wanted, see below; may be repeated', gather)
    .option('--ask-json <json>', 'the same in JSON; may be repeated', gather)
    .option('--agent <name>', 'which agent this is, where it may be several')
    .option('--minutes <n>', 'how long it may take', wholeNumber)
    .option('--justification <text>', 'why, for whoever is asked to agree')
    .option(...socket)
    .option('--heartbeat-seconds <n>', 'end the task after such a silence', wholeNumber)
    .option('--mints <n>', 'how many credentials an approval is to be good for', wholeNumber)
    .option('--json', 'print JSON')
    .addHelpText('after', `\n${ASK_HELP}`)
    .action(async options => (await import('./local-tasks.ts')).localOpen(terminal, options))
  agent
    .command('env')
    .description(
      'print what a shell needs so that git and the AWS SDKs in it ask there: eval "$(mayfly agent env)"',
    )
    .argument('[task]', 'its id, where several are held')
    .option(...socket)
    .action(async (task, options) =>
      (await import('./local-environment.ts')).localEnvironment(terminal, task, options),
    )
  agent
    .command('end')
    .description('end a task that it holds')
    .argument('<task>', 'its id')
    .addOption(
      new Option('--outcome <outcome>', 'how it ended')
        .choices(['completed', 'failed', 'cancelled'])
        .default('completed'),
    )
    .option(...socket)
    .option('--json', 'print JSON')
    .action(async (task, options) => (await import('./local-tasks.ts')).localEnd(terminal, task, options))
}

const AGENT_HELP = `It prints MAYFLY_SOCKET=PATH: with that in their environment, mayfly git-credential
and mayfly aws-credentials ask it. The socket is --socket, or $XDG_RUNTIME_DIR/mayfly/agent.sock
(~/.local/state/mayfly/agent.sock). On SIGTERM everything it holds ends. See docs/sidecar.md.`

const AWS_HELP = `In ~/.aws/config:
  [profile deploy]
  credential_process = mayfly aws-credentials --ask 'aws=arn:aws:iam::123456789012:role/deploy#s3:GetObject@*'
Under mayfly exec and mayfly agent (MAYFLY_SOCKET) the session is theirs; without either it is kept beside the
file of the task, sealed under the task's token.`
