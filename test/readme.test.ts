/** The README is typed in as a stranger would, block by block, in one shell beside the playground that it names. */
import { type ChildProcess, execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { runPlayground } from '../demo/playground.ts'
import { runInProcess } from './cli/in-process.ts'

const root = join(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
let home: string
/** What the playground prints to be pasted: into the terminal of a job, and into a human's. */
let exports: string[]
let leave: () => Promise<void>

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mayfly-readme-'))
  const { promise: interrupted, reject } = Promise.withResolvers<never>()
  const { promise: printed, resolve } = Promise.withResolvers<string>()
  const ended = runPlayground({ out: resolve, interrupted }).catch(() => {})
  leave = async () => {
    reject(new Error('read to its end'))
    await ended
    await rm(home, { recursive: true, force: true })
  }
  exports = [...(await printed).matchAll(/(?:^export .*\n)+/gm)].map(([block]) => block)
})
afterAll(() => leave?.())

/** `npx` would find the same, and takes its time over it. Where somebody is to sign in, `$who` does. */
const SHELL = `
npx() {
  [ "$1" = mayfly ] || { "$@"; return; }
  node bin/mayfly.js "\${@:2}" 2> >(while IFS= read -r line; do
    case "$line" in
      "  http://"*) node demo/sign-in.ts "$who" "\${line#  }" > /dev/null ;;
      *) printf '%s\\n' "$line" >&2 ;;
    esac
  done)
}
`

describe('README', () => {
  test('every path works as written, and prints what it says', async () => {
    const [job = '', human = ''] = exports
    const steps = blocks(/^sh (?:run|as (\w+))$/).map(({ text, group: who }) =>
      who === undefined ? text : `(\nunset MAYFLY_OPERATOR_TOKEN_FILE\nwho=${who}\n${human}${text})`,
    )
    const script = [SHELL, job, ...steps].join('\n')
    const env = {
      ...{ PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}`, HOME: home, TMPDIR: home },
      NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/mayfly'),
    }
    const shell = execFile('bash', ['--norc', '-euo', 'pipefail', '-c', script], { cwd: root, env })
    const { code, out, err } = await screenOf(shell)
    expect(code, `${out}\n${err}`).toBe(0)
    const expected = textsOf('text output').join('')
    expect(out.split('\n')).toEqual(expected.split('\n').map(asPrinted))
  }, 60_000)

  test('has a path for everybody, each with commands that were just run', () => {
    const paths = sectionOf('## Five minutes').split(/^### /m).slice(1)
    const names = paths.map(path => path.split('\n')[0])
    expect(names).toEqual([
      ...['A CI job', 'A coding agent', 'An AWS user', 'An octo-sts user', 'A client of its own'],
      ...['An auditor', 'On call', 'A platform team'],
    ])
    for (const path of paths) expect(path).toMatch(/^```sh (run|as \w+)$/m)
  })

  test('its table has every page, once', () => {
    const links = [...sectionOf('## The pages').matchAll(/\]\((docs\/[^)#]+)\)/g)].map(match => match[1]!)
    const pages = ['docs', 'docs/attestors'].flatMap(folder =>
      readdirSync(join(root, folder)).flatMap(name => (name.endsWith('.md') ? [`${folder}/${name}`] : [])),
    )
    expect(links.toSorted()).toEqual(pages.toSorted())
  })

  test('what is for other programs to read parses', () => {
    // The steps of our own action are held to action.yml by test/action/manifest.test.ts.
    for (const block of textsOf('yaml')) expect(parse(block)).toBeTypeOf('object')
    for (const block of textsOf('json')) expect(Object.keys(JSON.parse(block))).toEqual(['mcpServers'])
    const octoSts = textsOf('yaml').map(block => (parse(block) as { steps?: { with: object }[] }).steps?.[0])
    expect(octoSts.flatMap(step => (step === undefined ? [] : [Object.keys(step.with)]))).toEqual([
      ['domain', 'scope', 'identity'],
    ])
  })

  test('carries the two commands', () => {
    const commands = textsOf('sh')
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
      const given = { home, env: {}, input: '', out: write, err: write }
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

/** Fenced blocks whose info string matches, in order, with the first group of the pattern. */
function blocks(info: RegExp): { text: string; group: string | undefined }[] {
  return [...readme.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].flatMap(([, given = '', text = '']) => {
    const match = info.exec(given)
    return match === null ? [] : [{ text, group: match[1] }]
  })
}

const textsOf = (info: string) => blocks(new RegExp(`^${info}$`)).map(({ text }) => text)

function sectionOf(heading: string): string {
  return readme.split(/^(?=## )/m).find(section => section.startsWith(`${heading}\n`))!
}

/** A line of output, where `…` stands for anything. */
function asPrinted(line: string): unknown {
  if (!line.includes('…')) return line
  const parts = line.split('…').map(part => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return expect.stringMatching(new RegExp(`^${parts.join('.*')}$`))
}

function screenOf(shell: ChildProcess): Promise<{ code: number | null; out: string; err: string }> {
  const screen = { out: '', err: '' }
  shell.stdout?.on('data', text => {
    screen.out += text
  })
  shell.stderr?.on('data', text => {
    screen.err += text
  })
  return new Promise(resolve => shell.on('close', code => resolve({ code, ...screen })))
}
