/** `mayfly plan`, `apply` and `registry`: their options; each command's work is in its own file. */
import type { Command } from 'commander'
import { gather, withOperator } from './command-options.ts'
import type { Terminal } from './terminal.ts'

const SET_HELP = `A file says one resource: kind (agent, attestor, issuer, resource_server, policy), name
(NAMESPACE.NAME), and what the file of such a thing has; docs/registry.md. A *.cedar file is a policy of its
own name. Settings read no files of the broker: private_key_file: secret:app-key is what was given as
  --secret issuer/payments.github/app-key=app.pem`

export function addRegistryCommands(program: Command, terminal: Terminal): void {
  withSet(withOperator(program.command('plan')))
    .description('what registering these would change, and what that widens or narrows')
    .addHelpText('after', `\n${SET_HELP}`)
    .action(async options => (await import('./plan.ts')).plan(terminal, options))
  withSet(withOperator(program.command('apply')))
    .description('register these: all of it, or nothing')
    .requiredOption('--reason <text>', 'why, for the audit log')
    .option('--plan <digest>', 'only where it is the plan of this digest, as mayfly plan printed it')
    .addHelpText('after', `\n${SET_HELP}`)
    .action(async options => (await import('./apply.ts')).apply(terminal, options))

  const registry = program.command('registry').description('what is registered, from files and by teams')
  const kind = ['<kind>', 'agent, attestor, issuer, resource_server or policy'] as const
  withOperator(registry.command('list'))
    .description('everything of a kind that you may see')
    .argument(...kind)
    .action(async (of, options) => (await import('./registry.ts')).registryList(terminal, of, options))
  withOperator(registry.command('show'))
    .description('one of them, as it is now')
    .argument(...kind)
    .argument('<name>')
    .action(async (of, name, options) =>
      (await import('./registry.ts')).registryShow(terminal, of, name, options),
    )
  withOperator(registry.command('versions'))
    .description('what it was before, who changed it and why')
    .argument(...kind)
    .argument('<name>')
    .action(async (of, name, options) =>
      (await import('./registry.ts')).registryVersions(terminal, of, name, options),
    )
}

function withSet(command: Command): Command {
  return command
    .option('-f, --file <path>', 'a file, or a folder of them; may be repeated', gather, [])
    .option('--remove <kind/name>', 'take one away; may be repeated', gather, [])
    .option('--prune <namespace>', 'take away what the namespace has besides; may be repeated', gather, [])
    .option('--secret <kind/name/secret=file>', 'upload a secret (mode 0600); may be repeated', gather, [])
}
