/** The README is typed in as a stranger would, block by block, in one shell. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createOperatorToken } from '../src/broker/people/create-operator-token.ts'
import type { RunningServer } from '../src/server.ts'
import { runInProcess } from './cli/in-process.ts'
import { AUDIENCE, createInstallation, type Installation, startBroker } from './fakes/installation.ts'
import { type Runner, startRunner } from './fakes/runner.ts'

const root = join(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
let installation: Installation
let broker: RunningServer
let runner: Runner

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  runner = await startRunner(installation)
})
afterAll(async () => {
  await runner?.close()
  await broker?.stop()
  await installation?.close()
})

describe('README', () => {
  test('the exchange by hand works as written, and prints what it says', async () => {
    const operatorFile = join(installation.directory, 'operator.token')
    const { token } = await createOperatorToken(broker.broker, 'reader')
    await writeFile(operatorFile, token.reveal(), { mode: 0o600 })
    const script = blocks('sh run').join('\n')
    const { stdout } = await promisify(execFile)('bash', ['--norc', '-euo', 'pipefail', '-c', script], {
      cwd: root,
      env: {
        ...{ PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}`, HOME: installation.directory },
        ...{ MAYFLY_URL: broker.url, MAYFLY_AUDIENCE: AUDIENCE, GITHUB_API: installation.github.url },
        ...{ MAYFLY_OPERATOR_TOKEN_FILE: operatorFile, ...runner.env },
        NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/mayfly'),
      },
    })
    expect(stdout).toBe(blocks('text output').join(''))
  }, 60_000)

  test('carries the two commands', () => {
    const commands = blocks('sh')
    expect(commands[0]).toBe('npm ci && npm run demo\n')
    expect(commands[1]).toBe('npm ci && npm test\n')
  })

  test('every command of ours is one that the program has', async () => {
    const used = [...readme.matchAll(/npx mayfly ([a-z]+(?: (?:init|renew|open|show|complete))?)/g)].map(
      match => match[1]!,
    )
    expect(used.length).toBeGreaterThan(4)
    for (const command of new Set(used)) {
      let out = ''
      const write = (text: string) => {
        out += text
      }
      const given = { home: installation.directory, env: {}, input: '', out: write, err: write }
      expect(await runInProcess([...command.split(' '), '--help'], given)).toBe(0)
      expect(out, command).toContain(`mayfly ${command}`)
    }
  })

  test('every file it points at is there', () => {
    const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(match => match[1]!)
    expect(links.filter(link => !existsSync(join(root, link)))).toEqual([])
  })

  test('every npm script it names exists', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    const code = [...readme.matchAll(/`([^`]+)`/g), ...readme.matchAll(/^(npm .*)$/gm)].map(
      match => match[1]!,
    )
    const named = code.flatMap(text =>
      [...text.matchAll(/\bnpm (?:run )?([a-z:]+)/g)].map(match => match[1]!),
    )
    expect(named.length).toBeGreaterThan(3)
    expect(named.filter(name => !['ci', 'run'].includes(name) && scripts[name] === undefined)).toEqual([])
  })
})

/** The contents of fenced blocks with exactly this info string, in order. */
function blocks(info: string): string[] {
  return [...readme.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)]
    .filter(match => match[1] === info)
    .map(match => match[2]!)
}
