/**
 * `mayfly` as git finds it on its PATH, run in this process: what git starts only carries arguments, environment
 * and standard input over here. Starting the whole program each time would be most of a test's work.
 */
import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gitCredential } from '../../src/cli/git-credential.ts'
import { createProgram } from '../../src/cli/program.ts'
import { CommandError, type Terminal } from '../../src/cli/terminal.ts'

export type Said = { code: number; out: string; err: string }
export type Asked = { args: string[]; env: Record<string, string>; input: string }

/** A command of `mayfly` in this process, with no more of a terminal than the git helper uses. */
export async function runHelper({ args, env, input }: Asked, fetcher: typeof fetch = fetch): Promise<Said> {
  const said: Said = { code: 0, out: '', err: '' }
  const terminal = helperTerminal({ env, input, fetcher, said })
  try {
    await createProgram(terminal, '0.0.0').parseAsync(['node', 'mayfly', ...args])
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    said.err += `mayfly: ${error.message}\n`
    said.code = error.exitCode
  }
  return said
}

/** The same without a command line. */
export async function ask(
  operation: string,
  input: string,
  { env = {}, fetcher = fetch }: { env?: Record<string, string>; fetcher?: typeof fetch } = {},
): Promise<Said> {
  const said: Said = { code: 0, out: '', err: '' }
  try {
    await gitCredential(helperTerminal({ env, input, fetcher, said }), operation, {})
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    said.err += `mayfly: ${error.message}\n`
    said.code = error.exitCode
  }
  return said
}

type Surroundings = { env: Record<string, string>; input: string; fetcher: typeof fetch; said: Said }

function helperTerminal({ env, input, fetcher, said }: Surroundings): Terminal {
  const terminal: Partial<Terminal> = {
    env,
    out: text => {
      said.out += text
    },
    err: text => {
      said.err += text
    },
    exitWith: code => {
      said.code = code
    },
    now: () => Date.now(),
    // Nobody waits for a broker to come back.
    schedule(_ms, run) {
      const soon = setImmediate(run)
      return () => clearImmediate(soon)
    },
    fetch: fetcher,
    readStdin: async () => input,
    async readFile(path) {
      const file = await open(path, 'r')
      try {
        return { text: await file.readFile('utf8'), mode: (await file.stat()).mode }
      } finally {
        await file.close()
      }
    },
  }
  return terminal as Terminal
}

/** Byte counts, not line ends, say where a part ends. A shell starts in a tenth of what Node takes. */
const CARRIER = `#!/bin/bash
input=$(cat; printf .)
input=\${input%.}
exec 3<>"/dev/tcp/127.0.0.1/$HELPER_PORT"
for part in "$*" "$MAYFLY_TASK_TOKEN_FILE" "$MAYFLY_SOCKET" "$input"; do
  printf '%s\\n%s' "\${#part}" "$part" >&3
done
read -r code out <&3
head -c "$out" <&3
cat <&3 >&2
exit "$code"
`
/** In the order in which they are carried. */
const CARRIED = ['args', 'MAYFLY_TASK_TOKEN_FILE', 'MAYFLY_SOCKET', 'input'] as const
const MAIN = join(import.meta.dirname, '../../src/main.ts')
const COMPILED = join(import.meta.dirname, '../../node_modules/.cache/mayfly')

export type Git = {
  /** A folder of its own, its HOME too. */
  home: string
  /** What git asked the helper, in order, and what it was told. */
  asked: (Asked & Said)[]
  /** A line of a shell; `mayfly` and git are on its PATH. It never prompts. */
  shell(command: string, options?: GitOptions): Promise<Said>
  close(): Promise<void>
}
/** `real`: `mayfly` is a process of its own. */
export type GitOptions = { env?: Record<string, string>; cwd?: string; real?: boolean }

export async function createGit(): Promise<Git> {
  const home = await mkdtemp(join(tmpdir(), 'mayfly-git-'))
  const asked: Git['asked'] = []
  const door = createServer(socket => void serve(socket))
  await new Promise<void>(resolve => door.listen(0, '127.0.0.1', resolve))
  const { port } = door.address() as AddressInfo
  const scripts = { carried: CARRIER, real: `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n` }
  for (const [folder, script] of Object.entries(scripts)) {
    await mkdir(join(home, folder))
    await writeFile(join(home, folder, 'mayfly'), script)
    await chmod(join(home, folder, 'mayfly'), 0o755)
  }

  async function serve(socket: Socket): Promise<void> {
    const { args, input, ...env } = await readParts(socket)
    const set = Object.entries(env).filter(([, value]) => value !== '')
    const one = { args: args.split(' '), env: Object.fromEntries(set), input }
    const said = await runHelper(one)
    asked.push({ ...one, ...said })
    socket.end(`${said.code} ${Buffer.byteLength(said.out)}\n${said.out}${said.err}`)
  }

  return {
    home,
    asked,
    shell(command, { env = {}, cwd = home, real = false } = {}) {
      const surroundings = {
        PATH: `${join(home, real ? 'real' : 'carried')}:${process.env.PATH ?? ''}`,
        ...{ HOME: home, HELPER_PORT: String(port), NODE_COMPILE_CACHE: COMPILED, LC_ALL: 'C' },
        ...{ GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' },
        ...{ GIT_AUTHOR_NAME: 'Ada', GIT_AUTHOR_EMAIL: 'ada@acme.test' },
        ...{ GIT_COMMITTER_NAME: 'Ada', GIT_COMMITTER_EMAIL: 'ada@acme.test' },
        ...env,
      }
      return new Promise(resolve => {
        execFile('sh', ['-ec', command], { cwd, env: surroundings }, (error, out, err) => {
          const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : 1
          resolve({ code, out, err })
        })
      })
    },
    async close() {
      await new Promise(resolve => door.close(resolve))
      await rm(home, { recursive: true, force: true })
    },
  }
}

async function readParts(socket: Socket): Promise<Record<(typeof CARRIED)[number], string>> {
  const parts: string[] = []
  let rest = Buffer.alloc(0)
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk])
    for (let at = rest.indexOf(10); at >= 0 && parts.length < CARRIED.length; at = rest.indexOf(10)) {
      const end = at + 1 + Number(rest.subarray(0, at))
      if (rest.length < end) break
      parts.push(rest.subarray(at + 1, end).toString('utf8'))
      rest = rest.subarray(end)
    }
    if (parts.length === CARRIED.length) break
  }
  return Object.fromEntries(CARRIED.map((name, index) => [name, parts[index] ?? ''])) as never
}
