import { Command, InvalidArgumentError, Option } from 'commander'
import { addAgentCommands } from './agents-commands.ts'
import { addApprovalCommands } from './approvals-commands.ts'
import { ASK_HELP } from './ask.ts'
import { addAttestCommands } from './attest-commands.ts'
import { ENV_STYLES } from './child-environment.ts'
import { EVIDENCE_HELP } from './evidence.ts'
import { exec } from './exec.ts'
import { addLeakCommands } from './leak-commands.ts'
import { leases } from './leases.ts'
import { CLI_LIMITS } from './limits.ts'
import { addLocalCommands } from './local-commands.ts'
import { addMcpCommands } from './mcp-commands.ts'
import { operatorRenew } from './operator-renew.ts'
import { OPERATOR_HELP } from './operator-token.ts'
import { addPolicyCommands } from './policy.ts'
import { addRegistryCommands } from './registry-commands.ts'
import { revocations, unblock } from './revocations.ts'
import { revoke } from './revoke.ts'
import { SIGN_IN_OPTIONS } from './sign-in-options.ts'
import { taskComplete, taskOpen, taskShow } from './task.ts'
import { TASK_FILE_HELP } from './task-file.ts'
import type { Terminal } from './terminal.ts'
import { token } from './token.ts'

const DEFAULT_CONFIG = 'config/mayfly.yaml'
const JSON_OPTION = ['--json', 'print JSON'] as const

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
  addLocalCommands(program, terminal, { withOpening, wholeNumber, gather })
  addMcpCommands(program, terminal, { version, wholeNumber, gather })
  addPeopleCommands(program, terminal)
  addOperatorCommands(program, terminal)
  addApprovalCommands(program, terminal, { withOperator })
  addAgentCommands(program, terminal, { withOperator, withProviderLogs, config: DEFAULT_CONFIG })
  addLeakCommands(program, terminal, { withOperator })
  addProofCommands(program, terminal)
  addAttestCommands(program, terminal, { config: DEFAULT_CONFIG })
  addRegistryCommands(program, terminal, withOperator)
  addImportCommands(program, terminal)
  addPolicyCommands(program, terminal, { withOperator, withOpening, config: DEFAULT_CONFIG })
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
    .command('demo')
    .description('watch the main job on this machine, against stand-ins; nothing to set up')
    .option('--stay', 'tell no story: stay up, and say how to play by hand')
    .action(async options => (await import('./demo.ts')).demo(terminal, options))
}

function addImportCommands(program: Command, terminal: Terminal): void {
  const many = (value: string, before: readonly string[]) => [...before, value]
  program
    .command('import')
    .description('what other brokers were told, as agents of this one')
    .command('octo-sts')
    .description('trust policies of octo-sts: what is wrong with them, and the agents that they become')
    .argument('<paths...>', 'policies, folders of them, checkouts, or a folder of checkouts')
    .requiredOption('--owner <account>', 'whose repositories they stand in')
    .option('--out <folder>', "where agents' files go; without it nothing is written")
    .option('--repository <name>', 'where the folder is not called like the repository')
    .option('--organization-repository <name>', "where the organization's own stand", '.github')
    .option('--repository-id <name=id>', 'the id of OWNER/REPOSITORY, as GitHub gave it', many, [])
    .option('--attestor <issuer=name>', "an issuer's attestor; GitHub Actions' is called actions", many, [])
    .option('--issuer <name>', 'the github-app that mints for them', 'github')
    .option('--business <who>', 'who answers for the agents', 'unknown')
    .option('--technical <who>', 'who runs them', 'unknown')
    .option('--expires-at <time>', 'when somebody looks at them again; 90 days from now where it is not said')
    .option('--strict', 'fail on warnings, too')
    .option(...JSON_OPTION)
    .action(async (paths, options) =>
      (await import('./import-octo-sts.ts')).importOctoSts(terminal, paths, options),
    )
}

function addTaskCommands(program: Command, terminal: Terminal): void {
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

function addCredentialCommands(program: Command, terminal: Terminal): void {
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

function addPeopleCommands(program: Command, terminal: Terminal): void {
  const withBroker = (command: Command) =>
    command.option('--broker <url>', "the operators' address").option(...JSON_OPTION)
  withBroker(program.command('login'))
    .description('sign in as a human, for reading, revoking and narrowing')
    .option('--device', 'by a code on another machine (RFC 8628), where the broker takes it')
    .addHelpText('after', `\n${LOGIN_HELP}`)
    .action(async options => (await import('./login.ts')).login(terminal, options))
  withBroker(program.command('logout'))
    .description('end the session, and remove it from this machine')
    .action(async options => (await import('./logout.ts')).logout(terminal, options))
  withOperator(program.command('whoami'))
    .description('as whom the broker knows you, and of which groups')
    .action(async options => (await import('./whoami.ts')).whoami(terminal, options))
  withOperator(program.command('changes'))
    .description('what takes two humans: the latest, or one whole')
    .argument('[change]', 'its id')
    .action(async (id, options) => (await import('./changes.ts')).changes(terminal, id, options))
  const change = program.command('change').description("the second human's word on a change")
  withOperator(change.command('approve'))
    .description('agree, freshly signed in for exactly what is shown')
    .argument('<change>', 'its id')
    .action(async (id, options) => (await import('./changes.ts')).changeApprove(terminal, id, options))
  for (const [how, description] of [
    ['deny', 'refuse it'],
    ['withdraw', 'take back what you proposed'],
  ] as const)
    withOperator(change.command(how))
      .description(description)
      .argument('<change>', 'its id')
      .requiredOption('--reason <text>', 'why, for the audit log')
      .action(async (id, options) =>
        (await import('./changes.ts')).changeEnd(terminal, id, { ...options, how }),
      )
}

const LOGIN_HELP = `The browser of $BROWSER is opened, and the address is printed in any case. The session is kept in
$XDG_CONFIG_HOME/mayfly (or ~/.config/mayfly), mode 0600. What approves or widens signs you in again, for that alone.
Where the identity provider gives command lines a client secret: its file in MAYFLY_OIDC_CLIENT_SECRET_FILE.`

function addOperatorCommands(program: Command, terminal: Terminal): void {
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

function addProofCommands(program: Command, terminal: Terminal): void {
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

const REVOKE_HELP = `Several of --task, --agent, --human, --issuer, --repository, --role and --lease must all be so. With
--task, --agent and --human alone, tasks end with all they hold; with any of the others, credentials are taken back and their
tasks go on. A task that is still wanted can get new ones afterwards: --hold refuses them.`

const BEHALF_OPTION = [
  '--on-behalf-of-file <file>',
  'the ID token of the human on whose behalf, good once',
] as const

/** What opening a task takes, wherever it is done. */
function withOpening(command: Command): Command {
  return command
    .option('--ask <ask>', 'what is wanted, see below; may be repeated', gather)
    .option('--ask-json <json>', 'the same in JSON; may be repeated', gather)
    .option('--agent <name>', 'which agent this is, where it may be several')
    .option('--purpose <text>', 'what for, for the audit log')
    .option('--justification <text>', 'why, for whoever is asked to agree')
    .option('--minutes <n>', 'how long it may take', wholeNumber)
    .option('--confidence <n>', 'how sure you are, 0 to 100; it can only be held against you', wholeNumber)
    .addOption(
      new Option('--urgency <how>', 'how urgent it is; as confidence').choices(['low', 'normal', 'high']),
    )
    .option('--evidence-file <file>', 'a JWT that proves what this is; - for stdin')
    .option('--posture-file <file>', 'a signed statement of where this runs; may be repeated', gather)
    .option('--broker <url>', 'where the broker is (MAYFLY_URL, or http://127.0.0.1:8480)')
}

function withOperator(command: Command): Command {
  return command
    .option('--operator-token-file <file>', 'mode 0600 (MAYFLY_OPERATOR_TOKEN_FILE)')
    .option('--broker <url>', "the operators' address")
    .option(...JSON_OPTION)
    .addHelpText('after', `\n${OPERATOR_HELP}`)
}

function withProviderLogs(command: Command): Command {
  return command
    .option('--github-audit <file>', "GitHub's audit log, JSON or JSON lines")
    .option('--cloudtrail <file>', 'AWS CloudTrail, JSON or JSON lines')
}

function gather(one: string, before: string[] = []): string[] {
  return [...before, one]
}

function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Expected a whole number.')
}
