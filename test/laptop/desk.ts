/** An installation for humans at their own machines, and the command line as they have it, in this process. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Child, Terminal } from '../../src/cli/terminal.ts'
import type { RunningServer } from '../../src/server.ts'
import { LAPTOP_CLIENT } from '../fakes/identity/operator-provider.ts'
import { startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, PEOPLE, type PeopledInstallation } from '../fakes/people.ts'
import { until } from '../support/until.ts'

/** As the broker knows itself; tests reach it elsewhere. */
export const PUBLIC = 'http://127.0.0.1:8480'

export type Desk = PeopledInstallation & {
  broker: RunningServer
  /** `ISSUER#hanna`, who is an engineer, and an approver as well. */
  hanna: string
  /** Settings, with what the attestor's have besides. */
  settingsWith(laptops: Record<string, unknown>): Record<string, unknown>
  /** Starts the broker again, with what the attestor's settings have besides. */
  restart(laptops: Record<string, unknown>): Promise<void>
}

/** What the agent of the desk has beside those of other tests. */
export const DESK = {
  attest: [{ attestor: 'laptops', claims: { key_bound: true } }],
  may_act_for: { groups: ['engineering'] },
  may_delegate_to: [],
}

export async function createDesk(): Promise<Desk> {
  const engineer = { groups: ['engineering', 'mayfly-approver', 'mayfly-viewer'] }
  const people = [...PEOPLE, { id: 'hanna', name: 'Hanna', ...engineer }]
  const installation = await createPeopledInstallation({ people })
  const { agents, identityProvider } = installation
  const attestors = (laptops: Record<string, unknown>) => ({
    laptops: {
      ...{ type: 'laptop', issuer: installation.people.issuer, audience: LAPTOP_CLIENT },
      ...{ scopes: ['openid', 'profile', 'email', 'groups'], device_flow: 'bound' },
      ...{ github_login_claim: 'github_login', github_host: '127.0.0.1', ...laptops },
    },
    actions: { type: 'github-actions', issuer: identityProvider.issuer, audience: 'https://mayfly.test' },
    spire: {
      ...{ type: 'spiffe-jwt', trust_domain: 'acme.test' },
      ...{ audience: 'https://mayfly.test', bundle_file: 'bundle.json' },
    },
  })
  const settingsWith = (laptops: Record<string, unknown>) => ({ attestors: attestors(laptops) })
  const configure = (laptops: Record<string, unknown>) =>
    installation.configure({
      settings: settingsWith(laptops),
      agents: { desk: { ...agents.coder, ...DESK } },
    })
  await configure({})
  installation.people.setClaims('hanna', { github_login: 'hanna' })
  installation.github.setCollaborator(1, { login: 'hanna', id: 4711, role: 'write' })
  const made: Desk = {
    ...installation,
    broker: await startBroker(installation),
    hanna: `${installation.people.issuer}#hanna`,
    settingsWith,
    async restart(laptops) {
      await configure(laptops)
      await made.broker.stop()
      made.broker = await startBroker(installation)
    },
    async close() {
      await made.broker.stop()
      await installation.close()
    },
  }
  return made
}

export type Seat = {
  terminal: Terminal
  /** Its HOME, with all that a command could leave behind. */
  home: string
  out: () => string
  err: () => string
  /** The first group of a pattern, once it was written; what was written before the last look does not count. */
  reads(pattern: RegExp): Promise<string>
  /** What a signal would do. */
  signal(name: NodeJS.Signals): void
  /** Every secret that went through the command's hands. */
  secrets: Set<string>
  /** Runs when the broker has opened a task, before the command is told. */
  onTask(run: () => void): void
  /** Its timers stop, as with a laptop that was closed. */
  sleep(): void
  /** What it started, and with which environment. */
  started: { line: string[]; env: Readonly<Record<string, string>> }[]
  /** Files in its HOME, or in another folder, in which one of the secrets stands. */
  leftBehind(folder?: string): Promise<string[]>
  close(): Promise<void>
}

/** @param runs what becomes of programs that it starts */
export async function takeSeat(
  desk: Desk,
  runs: (line: string[], env: Readonly<Record<string, string>>) => Promise<number> = async () => 0,
): Promise<Seat> {
  const home = await mkdtemp(join(tmpdir(), 'mayfly-desk-'))
  const handlers = new Map<string, Set<() => void>>()
  const secrets = new Set<string>()
  const started: Seat['started'] = []
  const timers = new Set<NodeJS.Timeout>()
  let asleep = false
  let out = ''
  let err = ''
  let seen = 0
  let opened = () => {}

  const watched: typeof fetch = async (input, init) => {
    const url = String(input)
    const place = url.startsWith(`${PUBLIC}/`) ? desk.broker.url + url.slice(PUBLIC.length) : url
    const response = await fetch(place, init)
    if (url === `${PUBLIC}/v1/tasks` && response.status === 201) opened()
    noteSecrets(secrets, `${init?.body ?? ''}\n${await response.clone().text()}`)
    return response
  }
  const run = (command: string, args: readonly string[], env: Readonly<Record<string, string>>): Child => {
    const line = [command, ...args]
    started.push({ line, env })
    const ended = runs(line, env).then(code => ({ how: 'exited', code }) as const)
    return { signal: () => {}, ended }
  }
  const terminal: Partial<Terminal> = {
    env: { HOME: home, PATH: process.env.PATH, XDG_RUNTIME_DIR: join(home, 'run') },
    ...{ packageRoot: '', self: ['mayfly'], outIsTerminal: false, hasTerminal: false },
    out: text => {
      out += text
    },
    err: text => {
      err += text
    },
    exitWith: () => {},
    stopSelf: () => {},
    onSignal(name, handler) {
      const all = handlers.get(name) ?? new Set()
      handlers.set(name, all.add(handler))
      return () => void all.delete(handler)
    },
    now: desk.clock.now,
    random: size => randomBytes(size),
    schedule(ms, handler) {
      const timer = setTimeout(() => {
        timers.delete(timer)
        if (!asleep) handler()
      }, ms)
      timers.add(timer)
      return () => clearTimeout(timer)
    },
    fetch: watched,
    makeFolder: () => mkdtemp(join(home, 'folder-')),
    removeFolder: path => rm(path, { recursive: true, force: true }),
    run,
  }
  return {
    ...{ terminal: terminal as Terminal, home, secrets, started },
    out: () => out,
    err: () => err,
    async reads(pattern) {
      await until(() => pattern.test(err.slice(seen)))
      const [all = '', found = ''] = pattern.exec(err.slice(seen)) ?? []
      seen = err.indexOf(all, seen) + all.length
      return found
    },
    signal: name => handlers.get(name)?.forEach(handler => void handler()),
    onTask(handler) {
      opened = handler
    },
    sleep() {
      asleep = true
    },
    leftBehind: (folder = home) => found(folder, secrets),
    async close() {
      for (const timer of timers) clearTimeout(timer)
      await rm(home, { recursive: true, force: true })
    },
  }
}

const SECRET = /eyJ[\w-]+\.[\w-]+\.[\w-]+|ghs_\w+|mf[a-z]_[\w-]+|"(?:access_token|device_code)":"([^"]+)"/g
const IN_FORMS = /(?:^|&)(?:code|code_verifier|device_code)=([^&\s]+)/g

function noteSecrets(secrets: Set<string>, text: string): void {
  for (const [all, named] of text.matchAll(SECRET)) secrets.add(named ?? all)
  for (const [, value = ''] of text.matchAll(IN_FORMS)) secrets.add(value)
}

/** Sockets hold nothing. */
async function found(folder: string, secrets: ReadonlySet<string>): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter(one => one.isFile()).map(one => join(one.parentPath, one.name))
  const held = await Promise.all(files.map(async path => ({ path, text: await readFile(path, 'latin1') })))
  return held
    .filter(({ text }) => text.includes('PRIVATE KEY') || [...secrets].some(secret => text.includes(secret)))
    .map(({ path }) => path)
}
