/** `mayfly policy ...` and `mayfly explain`: their options; each command's work is in its own file. */
import type { Command } from 'commander'
import { ASK_HELP } from './ask.ts'
import { DEFAULT_CONFIG, withOpening, withOperator } from './command-options.ts'
import { EVIDENCE_HELP } from './evidence.ts'
import type { Terminal } from './terminal.ts'

const CASES_HELP = `A file of cases says what must come of which ask; docs/policy.md has all it may say:
  cases:
    - name: nobody deploys from a pull request
      agent: release
      ask: { type: aws, role: arn:aws:iam::123456789012:role/deploy, statements: [...] }
      claims: { event_name: pull_request }
      expect: deny
      by: [quiet-events-only]`

export function addPolicyCommands(program: Command, terminal: Terminal): void {
  withOperator(program.command('explain'))
    .description('why a decision came out as it did, and whom to ask')
    .argument('<decision>', 'its id, as the caller was told it')
    .action(async (id, options) => (await import('./explain.ts')).explain(terminal, id, options))
  const policy = program.command('policy').description('the rules beside the ceilings')
  offline(policy.command('test'))
    .description('judge cases by the policies of a configuration; nothing needs to run, unless --registered')
    .argument('<file...>', 'cases, in YAML')
    .addHelpText('after', `\n${CASES_HELP}`)
    .action(async (files, options) => (await import('./policy-test.ts')).policyTest(terminal, files, options))
  offline(policy.command('lint'))
    .description('find rules that are valid and wrong')
    .argument('[dir]', 'as --policies')
    .option('--strict', 'fail on warnings, too')
    .action(async (dir, options) =>
      (await import('./policy-lint.ts')).policyLint(terminal, {
        ...options,
        ...(dir === undefined ? {} : { policies: dir }),
      }),
    )
  policy
    .command('schema')
    .description('what policies of this configuration may speak of, as a Cedar schema')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .action(async options => (await import('./policy-schema.ts')).policySchema(terminal, options))
  withOpening(policy.command('simulate'))
    .description('what a token or a task would get for an ask; for operators, and nothing is opened')
    .option('--task <id>', 'in place of evidence, a task that is under way')
    .option('--ticket-file <file>', 'beside evidence, the ticket of a parent: as its child; mode 0600')
    .option('--operator-token-file <file>', 'mode 0600 (MAYFLY_OPERATOR_TOKEN_FILE)')
    .option('--json', 'print JSON')
    .addHelpText('after', `\n${ASK_HELP}\n\n${EVIDENCE_HELP}`)
    .action(async options => (await import('./policy-simulate.ts')).policySimulate(terminal, options))
  withOperator(policy.command('shadow'))
    .description('where the candidate policies would have decided otherwise')
    .option('--after <cursor>', 'the next page, as the page before names it')
    .action(async options => (await import('./policy-shadow.ts')).policyShadow(terminal, options))

  function offline(command: Command): Command {
    return command
      .option('--config <file>', 'settings', DEFAULT_CONFIG)
      .option('--policies <dir>', 'in place of policies_dir of the settings')
      .option('--registered', 'with what teams have registered at the broker, as an operator')
      .option('--operator-token-file <file>', 'with --registered: mode 0600 (MAYFLY_OPERATOR_TOKEN_FILE)')
      .option('--broker <url>', "with --registered: the operators' address")
      .option('--json', 'print JSON')
  }
}
