/**
 * The client as others get it: packed, in a folder of its own, with no other package and no types of Node. Other
 * runtimes than this Node are tried where CLIENT_RUNTIMES says where they are: `bun=/path/to/bun deno=/path/to/deno`.
 */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { endTask } from '../../src/broker/tasks/end-task.ts'
import type { RunningServer } from '../../src/server.ts'
import { AUDIENCE, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Runner, startRunner } from '../fakes/runner.ts'
import { until } from '../support/until.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const guide = readFileSync(join(root, 'docs/client.md'), 'utf8')

let installation: Installation
let broker: RunningServer
let runner: Runner
/** Where a stranger works. */
let folder: string

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  runner = await startRunner(installation)
  folder = await mkdtemp(join(tmpdir(), 'mayfly-client-'))
  await install(folder)
}, 60_000)
afterAll(async () => {
  await runner?.close()
  await broker?.stop()
  await installation?.close()
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
})

/** Built, packed by npm, and unpacked as `npm install` would. */
async function install(into: string): Promise<void> {
  const stage = join(into, 'stage')
  await mkdir(stage)
  const config = {
    extends: join(root, 'tsconfig.build.json'),
    compilerOptions: { rootDir: root, outDir: join(stage, 'dist') },
    include: [join(root, 'src/client')],
  }
  await writeFile(join(stage, 'tsconfig.json'), JSON.stringify(config))
  await tsc(stage, ['-p', 'tsconfig.json', '--typeRoots', join(root, 'node_modules/@types')])
  await cp(join(root, 'package.json'), join(stage, 'package.json'))
  await run('npm', ['pack', '--offline', '--ignore-scripts', '--silent'], { cwd: stage })
  const [tarball = ''] = (await readdir(stage)).filter(name => name.endsWith('.tgz'))
  const installed = join(into, 'node_modules/mayfly')
  await mkdir(installed, { recursive: true })
  await run('tar', ['-xzf', tarball, '-C', installed, '--strip-components', '1'], { cwd: stage })
  await rm(stage, { recursive: true })
  await writeFile(join(into, 'package.json'), JSON.stringify({ name: 'stranger', type: 'module' }))
}

function tsc(cwd: string, args: readonly string[]) {
  return run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...args], { cwd })
}

const OTHERS: Record<string, readonly string[]> = {
  bun: ['run'],
  deno: ['run', '--no-prompt', '--allow-net=127.0.0.1', '--allow-env', '--node-modules-dir=manual'],
}
const runtimes: [name: string, program: string, args: readonly string[]][] = [
  ['node', process.execPath, []],
  ...(process.env.CLIENT_RUNTIMES ?? '')
    .split(' ')
    .filter(text => text !== '')
    .map((text): [string, string, readonly string[]] => {
      const [name = '', program = ''] = text.split('=')
      return [name, program, OTHERS[name] ?? []]
    }),
]

describe.each(runtimes)('%s', (_, program, args) => {
  test.each(blocks('js run').map((code, index) => [index + 1, code] as const))(
    'block %i of the guide does as it says',
    async (number, code) => {
      const file = join(folder, `block-${number}.mjs`)
      await writeFile(file, code)
      const env = {
        ...{ PATH: process.env.PATH ?? '', HOME: folder, NO_COLOR: '1' },
        ...{ MAYFLY_URL: broker.url, MAYFLY_AUDIENCE: AUDIENCE, GITHUB_API: installation.github.url },
        ...runner.env,
      }
      const { stdout } = await run(program, [...args, file], { cwd: folder, env })
      expect(stdout).toBe(blocks('text output')[number - 1])
      const { items } = await broker.broker.ledger.read.tasks({ state: 'active' }, { limit: 100 })
      expect(items.filter(task => task.system === 0)).toEqual([])
      await until(() => installation.github.credentials().every(one => !one.alive))
    },
  )

  test('a broker that is not there is known as that', async () => {
    const file = join(folder, 'nobody.mjs')
    const nobody = await startRunner(installation)
    const { origin } = new URL(nobody.env.ACTIONS_ID_TOKEN_REQUEST_URL!)
    await nobody.close()
    await writeFile(
      file,
      `import { createMayfly } from 'mayfly/client'
       const schedule = (_, run) => { const timer = setTimeout(run, 0); return () => clearTimeout(timer) }
       const mayfly = createMayfly({ url: '${origin}', evidence: () => 'a.b.c', schedule })
       await mayfly.openTask({ purpose: 'x', asks: [] }).catch(error => console.log(error.code))`,
    )
    const { stdout } = await run(program, [...args, file], { cwd: folder, env: { HOME: folder } })
    expect(stdout).toBe('unreachable\n')
  })

  test('a task that was forgotten keeps no process alive', async () => {
    const file = join(folder, 'forgotten.mjs')
    await writeFile(
      file,
      `import { createMayfly } from 'mayfly/client'
       const mayfly = createMayfly({ url: '${broker.url}', evidence: () => '${await installation.jobToken()}' })
       const task = await mayfly.openTask({ purpose: 'forgotten', heartbeatSeconds: 60, asks: [] })
       console.log(task.id)`,
    )
    const { stdout } = await run(program, [...args, file], { cwd: folder, env: { HOME: folder } })
    await endTask(broker.broker, stdout.trim(), 'cancelled', { actor: 'test' })
  })
})

test('its types stand without those of Node, and know what a credential is made of', async () => {
  await writeFile(
    join(folder, 'typed.ts'),
    `import { aws, createMayfly, github, type Task } from 'mayfly/client'
     const api = github({ repository_ids: [1], permissions: { contents: 'read' } })
     const role = aws({ role: 'arn', statements: [] })
     const plain = { type: 'payments.db', database: 'orders' }
     export async function work(): Promise<[string, string]> {
       const mayfly = createMayfly({ url: 'http://127.0.0.1:1', evidence: () => 'a.b.c' })
       await using task = await mayfly.openTask({ purpose: 'x', asks: [api, role, plain] })
       const other: Task = task
       const session = (await task.credential(task.asks[1])).reveal()
       // @ts-expect-error: it may be an object
       const text: string = (await task.credential(plain)).reveal()
       // @ts-expect-error: the parts have names
       session.Token
       return [(await task.credential(api)).reveal(), session.SessionToken + other.id + text]
     }`,
  )
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', '']
  const lib = ['--lib', 'es2024,esnext.disposable,dom,dom.asynciterable', '--exactOptionalPropertyTypes']
  await tsc(folder, [...options, ...lib, '--ignoreConfig', 'typed.ts']).catch(
    (error: { stdout?: string }) => {
      throw new Error(error.stdout)
    },
  )
})

/** The contents of fenced blocks with exactly this info string, in order. */
function blocks(info: string): string[] {
  return [...guide.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)]
    .filter(match => match[1] === info)
    .map(match => match[2]!)
}
