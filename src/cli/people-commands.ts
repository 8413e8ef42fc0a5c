/** Who a human is to the broker, and what takes two of them: options; each command's work is in its own file. */
import type { Command } from 'commander'
import { JSON_OPTION, withOperator } from './command-options.ts'
import type { Terminal } from './terminal.ts'

export function addPeopleCommands(program: Command, terminal: Terminal): void {
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
