import { Command } from 'commander'
import { check } from './check.ts'
import { demo } from './demo.ts'
import { operatorInit } from './operator-init.ts'
import { serve } from './serve.ts'
import type { Terminal } from './terminal.ts'

const DEFAULT_CONFIG = 'config/mayfly.yaml'

/** Every command, its options and its one line of help; each command's work is in its own file. */
export function createProgram(terminal: Terminal, version: string): Command {
  const program = new Command('mayfly')
    .description('Short-lived credentials that live as long as the task, and die with it.')
    .version(version)
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.err })
    .exitOverride()

  program
    .command('serve')
    .description('run the broker')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .action(options => serve(terminal, options))
  program
    .command('check')
    .description('read the configuration as serve would, and start nothing')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .option('--json', 'print JSON')
    .action(options => check(terminal, options))

  program
    .command('demo')
    .description('watch the main job on this machine, against stand-ins; nothing to set up')
    .action(() => demo(terminal))

  const operator = program.command('operator').description('access for humans')
  operator
    .command('init')
    .description('write a first operator token to a file; the broker must not be running')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .option('--out <file>', 'where the token goes (mode 0600)', 'operator.token')
    .option('--name <name>', 'who it is for', 'first operator')
    .option('--json', 'print JSON')
    .action(options => operatorInit(terminal, options))
  return program
}
