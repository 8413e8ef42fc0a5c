/** Whether commands of a coding agent find what `mayfly mcp` holds, and what is missing where they do not. */
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { Setup } from '../mcp/answer-shapes.ts'
import { given } from './broker-url.ts'
import { hostSources } from './byte-sources.ts'
import { CLI_LIMITS } from './limits.ts'
import { type AwsSetting, judgeAws, judgeGit, type Reached } from './mcp-settings.ts'
import type { Terminal } from './terminal.ts'

export type Looked = {
  /** Where this server listens. */
  socket: string
  /** Where it would, if nobody else did. */
  usual: string
  /** The host of the web pages of the provider that git is to reach; github.com unless told. */
  provider: string | undefined
}

type Surroundings = Pick<Terminal, 'env' | 'self' | 'readFile'>

export async function lookAtSetup(
  terminal: Surroundings,
  { socket, usual, provider = 'github.com' }: Looked,
): Promise<Setup> {
  const { env } = terminal
  const home = given(env.HOME)
  const reached: Reached = { socket, home, inherited: given(env.MAYFLY_SOCKET) }
  const [program, listing, settings] = await Promise.all([
    programName(terminal),
    gitListing(env),
    awsSettings(terminal, home),
  ])
  const run = [
    program,
    'mcp',
    'exec',
    ...(socket === standard(home) ? [] : ['--socket', quoted(socket)]),
  ].join(' ')
  return {
    ...{ socket, run },
    git: judgeGit(listing, provider, reached),
    aws: judgeAws(settings, reached),
    notes: [
      ...(socket === usual
        ? []
        : [
            `another server answers at ${usual}: what is set up for that socket asks that one, and not this. ` +
              `Use ${run} -- COMMAND`,
          ]),
      ...(program === 'mayfly' ? [] : ['mayfly is not on the PATH that this server was started with']),
    ],
  }
}

/** What `mayfly mcp exec` looks at where it is not told. */
function standard(home: string | undefined): string | undefined {
  return home === undefined ? undefined : join(home, '.local', 'state', 'mayfly', 'mcp.sock')
}

/** As a shell of the same PATH finds it; otherwise whole. */
async function programName({ env, self }: Surroundings): Promise<string> {
  for (const folder of (env.PATH ?? '').split(delimiter).filter(Boolean))
    try {
      await access(join(folder, 'mayfly'), constants.X_OK)
      return 'mayfly'
    } catch {
      // Not in this one.
    }
  return self.map(quoted).join(' ')
}

/** What git is configured with in this folder; undefined where there is no git. */
async function gitListing(env: Terminal['env']): Promise<string | undefined> {
  try {
    const listing = await hostSources.git('.', ['config', '--null', '--list'], {
      ...{ env, maxBytes: CLI_LIMITS.settingsBytes },
    })
    return listing.toString('utf8')
  } catch {
    return undefined
  }
}

async function awsSettings(
  { env, readFile }: Surroundings,
  home: string | undefined,
): Promise<AwsSetting | undefined> {
  const path = given(env.AWS_CONFIG_FILE) ?? (home === undefined ? undefined : join(home, '.aws', 'config'))
  if (path === undefined) return undefined
  try {
    return { path, text: (await readFile(path, CLI_LIMITS.settingsBytes)).text }
  } catch {
    return { path, text: '' }
  }
}

function quoted(word: string): string {
  return /^[\w./:@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
