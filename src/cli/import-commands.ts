/** `mayfly import ...`: its options; the work is in its own file. */
import type { Command } from 'commander'
import { gather, JSON_OPTION } from './command-options.ts'
import type { Terminal } from './terminal.ts'

export function addImportCommands(program: Command, terminal: Terminal): void {
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
    .option('--repository-id <name=id>', 'the id of OWNER/REPOSITORY, as GitHub gave it', gather, [])
    .option('--attestor <issuer=name>', "an issuer's attestor; GitHub Actions' is called actions", gather, [])
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
