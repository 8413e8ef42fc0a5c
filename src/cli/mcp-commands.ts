/** `mayfly mcp`, which a coding agent's client starts, and what its commands are started with. */
import type { Command } from 'commander'
import { gather, wholeNumber } from './command-options.ts'
import { EVIDENCE_HELP } from './evidence.ts'
import { CLI_LIMITS } from './limits.ts'
import { SIGN_IN_OPTIONS } from './sign-in-options.ts'
import type { Terminal } from './terminal.ts'

export function addMcpCommands(program: Command, terminal: Terminal, version: string): void {
  const command = program
    .command('mcp')
    .description(
      'tools for a coding agent (Model Context Protocol): tasks, and no secrets in the conversation',
    )
  command
    .command('serve', { isDefault: true })
    .description('speak the protocol on standard input and output, until the client is gone')
    .option('--socket <path>', 'where its commands find it, in a folder of mode 0700')
    .option('--agent <name>', 'which agent every task is opened as, where it may be several')
    .option('--evidence-file <file>', 'a JWT that proves what this is, kept fresh')
    .option('--on-behalf-of-file <file>', 'the ID token of the human on whose behalf, kept fresh')
    .option('--broker <url>', 'where the broker is (MAYFLY_URL, or http://127.0.0.1:8480)')
    .option(
      '--heartbeat-seconds <n>',
      'end a task after such a silence',
      wholeNumber,
      CLI_LIMITS.heartbeatSeconds,
    )
    .option(
      '--bound-key',
      'make a key, and bind every task and JWT to it: evidence is then good for all of them',
    )
    .option(...SIGN_IN_OPTIONS.signIn)
    .option(...SIGN_IN_OPTIONS.device)
    .option(...SIGN_IN_OPTIONS.signInAt)
    .option('--reveal-secrets', 'add a tool that answers with a secret; it is then in the conversation')
    .addHelpText('after', `\n${MCP_HELP}\n\n${EVIDENCE_HELP}`)
    .action(async options => (await import('./mcp.ts')).mcp(terminal, version, options))
  command
    .command('exec')
    .description('run a command that has what the open tasks were granted')
    .argument('<command...>', 'after --, the command and its arguments')
    .option('--socket <path>', 'of the server, where it is not the usual one')
    .option('--handle <id>', 'of one ask, instead of all; may be repeated', gather)
    .passThroughOptions()
    .addHelpText('after', `\n${EXEC_HELP}`)
    .action(async (words, options) => (await import('./mcp-exec.ts')).mcpExec(terminal, words, options))
}

const MCP_HELP = `A client of MCP starts it; docs/mcp.md has the settings of the common ones. Its socket is --socket, or
~/.local/state/mayfly/mcp.sock, so that git and AWS can be set up for it beforehand. When the client is gone, and
on SIGTERM, everything it holds ends.`

const EXEC_HELP = `git asks mayfly git-credential; the rest is in the environment: GH_TOKEN, AWS_ACCESS_KEY_ID and its
kind, MAYFLY_TOKEN_<ISSUER>. Tasks are opened and ended by the tools of mayfly mcp, not by this.`
