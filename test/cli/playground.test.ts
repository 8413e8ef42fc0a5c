/** `npm run demo -- --stay`, and what a stranger types who reads what it prints. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const PATH = `${join(root, 'node_modules/.bin')}:${process.env.PATH}`

type Typed = {
  /** What stands on the screen. */
  screen(): string
  /** The first group of the pattern, once it stands there. @throws Error where the command ends before */
  reads(pattern: RegExp): Promise<string>
  kill(signal: NodeJS.Signals): void
  /** The exit code. */
  ended: Promise<number | null>
}

let playground: Typed
let elsewhere: string
/** What to paste, block by block. */
let exports: string[]

beforeAll(async () => {
  elsewhere = await mkdtemp(join(tmpdir(), 'mayfly-stranger-'))
  playground = type('npm run --silent demo -- --stay', [])
  await playground.reads(/(Ctrl-C ends it)/)
  exports = [...playground.screen().matchAll(/(?:^export .*\n)+/gm)].map(([block]) => block)
})
afterAll(async () => {
  playground?.kill('SIGINT')
  await playground?.ended
  await rm(elsewhere, { recursive: true, force: true })
})

/** In a shell of its own, after what was pasted. `npx` would find the same, and takes its time over it. */
function type(command: string, pasted: readonly (string | undefined)[]): Typed {
  const direct = command.replace(/^npx mayfly/, 'node bin/mayfly.js').replace(/^npx /, '')
  const script = [...pasted, `exec ${direct}`].join('\n')
  const env = { PATH, HOME: elsewhere }
  const child = spawn('bash', ['--norc', '-c', script], { cwd: root, env, detached: true })
  let text = ''
  let look = () => {}
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', more => {
      text += more
      look()
    })
  child.stdin.end()
  const ended = new Promise<number | null>(resolve => void child.once('close', code => resolve(code)))
  return {
    screen: () => text,
    ended,
    kill(signal) {
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, signal)
    },
    reads: pattern =>
      new Promise((resolve, reject) => {
        look = () => {
          const found = pattern.exec(text)?.[1]
          if (found !== undefined) resolve(found)
        }
        look()
        void ended.then(() => reject(new Error(`it ended without saying so: ${text}`)))
      }),
  }
}

const asHuman = (command: string) => type(command, [exports[1]])
const ADDRESS = /sign in at:\n\s+(\S+)/

async function signIn(running: Typed, who: string): Promise<number | null> {
  const address = await running.reads(ADDRESS)
  const signed = type(`npx node demo/sign-in.ts ${who} '${address}'`, [])
  expect(await signed.ended, signed.screen()).toBe(0)
  return running.ended
}

test('an approval by hand, and a quarantine, as it is printed', { timeout: 60_000 }, async () => {
  const agent = type('npx node demo/upgrader.ts', [exports[0]])
  const approval = await agent.reads(/npx mayfly approvals approve (apr_\w+)/)
  expect(await signIn(asHuman('npx mayfly login'), 'olga')).toBe(0)
  const listed = asHuman('npx mayfly approvals')
  expect([await listed.ended, listed.screen()]).toEqual([0, expect.stringContaining(approval)])

  const own = asHuman(`npx mayfly approvals approve ${approval}`)
  expect(await signIn(own, 'olga')).toBe(3)
  expect(own.screen()).toContain('you own the agent')
  const other = asHuman(`npx mayfly approvals approve ${approval}`)
  expect(await signIn(other, 'cleo'), other.screen()).toBe(0)
  await agent.reads(/(commits +GitHub: 201)/)

  const stopped = asHuman("npx mayfly agents quarantine upgrader --reason 'odd commits'")
  expect(await stopped.ended, stopped.screen()).toBe(0)
  expect(await agent.ended, agent.screen()).toBe(0)
  expect(agent.screen()).toMatch(/commits +GitHub: 401.*\n.*reads +GitHub: 200/)
  for (const printed of ['npx node demo/upgrader.ts', 'npx mayfly login', 'npx mayfly approvals approve'])
    expect(playground.screen()).toContain(printed)
  expect(agent.screen(), 'its task is over, and so is all of it').toMatch(/reads +GitHub: 401.*\n$/)
})

test('what clients discover is where the broker is', async () => {
  const url = /MAYFLY_URL='([^']+)'/.exec(exports[0]!)?.[1]
  const told = await fetch(`${url}/.well-known/oauth-authorization-server`)
  expect(await told.json()).toMatchObject({ issuer: url, token_endpoint: `${url}/oauth/token` })
})

test('the page of the identity provider takes the click of a browser', async () => {
  const running = asHuman('npx mayfly login')
  const address = await running.reads(ADDRESS)
  const jar = join(elsewhere, 'cookies')
  const browser = `curl -sL -c ${jar} -b ${jar}`
  const page = await shell(`${browser} -w '\\n%{url_effective}' '${address}'`)
  expect(page).toMatch(/<button name="human" value="cleo">Cleo<\/button> mayfly-approver/)
  const consent = await shell(`${browser} -w '\\n%{url_effective}' -d human=cleo '${lastLine(page)}'`)
  expect(consent.match(/<button/g), 'whoever signed in agrees').toHaveLength(1)
  const end = await shell(`${browser} -d human=cleo '${lastLine(consent)}'`)
  expect(end).toContain('You can close this window')
  expect([await running.ended, running.screen()]).toEqual([0, expect.stringContaining('Signed in as Cleo')])
})

test('Ctrl-C ends it, and nothing is left behind', async () => {
  const folder = /_TOKEN_FILE='(\S+)\/operator\.token'/.exec(playground.screen())?.[1] ?? ''
  expect(existsSync(folder)).toBe(true)
  playground.kill('SIGINT')
  await playground.ended
  expect(playground.screen()).toContain('the demo was stopped')
  expect(existsSync(folder)).toBe(false)
  expect(existsSync(join(elsewhere, '.config/mayfly'))).toBe(false)
})

async function shell(command: string): Promise<string> {
  const ran = type(command, [])
  expect(await ran.ended, ran.screen()).toBe(0)
  return ran.screen()
}

const lastLine = (text: string) => text.trimEnd().split('\n').at(-1) ?? ''
