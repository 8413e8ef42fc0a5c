/** A human at their own machine: signs in, and `mayfly agent` and `mayfly exec` work in their name. */
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { unblock } from '../../src/broker/revocations/revocations.ts'
import { exec } from '../../src/cli/exec.ts'
import { type AgentOptions, localAgent } from '../../src/cli/local-agent.ts'
import { connectSidecar } from '../../src/sidecar/call.ts'
import { createGit, type Git } from '../cli/git-helper.ts'
import { type GitServer, startGitServer } from '../fakes/git-server/git-server.ts'
import { asks } from '../fakes/installation.ts'
import { createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { createDesk, type Desk, PUBLIC, type Seat, takeSeat } from './desk.ts'

let desk: Desk
let gits: GitServer
let git: Git
let seat: Seat
beforeAll(async () => {
  desk = await createDesk()
  gits = await startGitServer({ github: desk.github, repositories: [{ id: 1, name: 'acme/api' }] })
  git = await createGit()
})
afterAll(async () => {
  await Promise.all([desk?.close(), gits?.close(), git?.close()])
})
beforeEach(async () => {
  const runs = async ([, ...args]: string[], env: Readonly<Record<string, string>>) =>
    (await git.shell(args.join(' '), { env: { ...env, PATH: `${join(git.home, 'carried')}:${env.PATH}` } }))
      .code
  seat = await takeSeat(desk, runs)
})
afterEach(() => seat.close())

const AT = /sign in at:\n\s+(\S+)/
const CODE = /with the code:\n\s+(\S+)/
const TASK = /task (tsk_\w+) until/
const row = async (id: string) => (await desk.broker.broker.ledger.read.task(id))!
const signIn = async (id = 'hanna') => desk.people.human(id).visit(await seat.reads(AT))
const alive = () => desk.github.credentials().filter(one => one.alive)

/** `mayfly agent --sign-in`, until it is told to end. */
function agent(options: Partial<AgentOptions> = {}) {
  const running = localAgent(seat.terminal, { broker: PUBLIC, signIn: true, ...options })
  const socket = join(seat.home, 'run', 'mayfly', 'agent.sock')
  const ready = until(() => seat.out() !== '').then(() => connectSidecar({ socket }))
  const end = () => {
    seat.signal('SIGINT')
    return running
  }
  return { running, socket, ready, end }
}

describe('mayfly agent --sign-in', () => {
  test('git works through the socket, in the name of who signed in, and nothing stays behind', async () => {
    const keys = vi.spyOn(crypto.subtle, 'generateKey')
    const { ready, socket, end } = agent({
      purpose: 'fix the build',
      ask: ['github=acme/api:contents:write'],
    })
    await seat.reads(/to let an agent work in your name: fix the build\n.*acme\/api/)
    expect(await signIn()).toMatchObject({ status: 200 })
    const id = await seat.reads(TASK)
    expect(await row(id)).toMatchObject({ agent: 'desk', human: desk.hanna, heartbeat_ms: 60_000 })
    expect(JSON.parse((await row(id)).bound_key ?? '')).toHaveProperty('jkt')
    const pair = (await keys.mock.results[0]!.value) as { privateKey: { extractable: boolean } }
    expect(pair.privateKey.extractable).toBe(false)

    await git.shell(
      `git config --global credential.${gits.url}.helper '!mayfly git-credential'
       git config --global credential.${gits.url}.useHttpPath true`,
    )
    const env = { MAYFLY_SOCKET: socket }
    const pushed = await git.shell(
      `git clone -q ${gits.url}/acme/api work && cd work && echo one >> README.md && git commit -qam one && git push -q`,
      { env },
    )
    expect(pushed, pushed.err).toMatchObject({ code: 0 })

    // Another task: another sign-in, of which the browser remembers the human.
    const sidecar = await ready
    const second = sidecar.open({ purpose: 'look at orders', asks: [asks.orders] })
    await signIn()
    expect(await row((await second).id)).toMatchObject({ human: desk.hanna, purpose: 'look at orders' })

    expect(seat.secrets.size).toBeGreaterThan(8)
    expect(await seat.leftBehind()).toEqual([])
    await end()
    expect(await row(id)).toMatchObject({ end: 'cancelled', end_detail: 'mayfly agent ended' })
    await until(() => alive().length === 0)
    for (const folder of [seat.home, git.home]) expect(await seat.leftBehind(folder)).toEqual([])
    for (const secret of seat.secrets) expect(seat.err() + seat.out()).not.toContain(secret)
  })

  test('by a code on another machine, where the provider puts the nonce into its token', async () => {
    const { ready, end } = agent({ device: true })
    const open = async (purpose: string) => {
      const opening = (await ready).open({ purpose, asks: [asks.orders] })
      const address = await seat.reads(AT)
      await desk.people.human('hanna').approveDevice(`${address}?user_code=${await seat.reads(CODE)}`)
      return opening
    }
    desk.people.setDeviceNonce(true)
    expect(await row((await open('no browser here')).id)).toMatchObject({ human: desk.hanna })
    desk.people.setDeviceNonce(false)
    await expect(open('and no nonce')).rejects.toThrow('leaves the nonce out')
    expect(await seat.leftBehind()).toEqual([])
    await end()
  })

  test('a laptop that is closed: its task lapses with all it holds', async () => {
    const { ready, end } = agent()
    const opening = (await ready).open({ purpose: 'lid', asks: [asks.api], heartbeat_seconds: 30 })
    await signIn()
    const { id, asks: held } = await opening
    await (await ready).credential({ handle: held[0]!.handle })
    seat.sleep()
    // Time in which the broker did not look is held against nobody.
    for (let second = 0; second <= 40; second += 10) {
      await desk.broker.look()
      desk.clock.advance(10_000)
    }
    await desk.broker.look()
    await until(async () => (await row(id)).state !== 'active')
    await until(() => alive().length === 0)
    expect(await row(id)).toMatchObject({ end: 'lapsed' })
    await end()
  })

  test('Ctrl-C while somebody is to sign in ends the waiting, and nothing was opened', async () => {
    const { running, end } = agent({ purpose: 'never', ask: ['github=acme/api:contents:write'] })
    await seat.reads(AT)
    await expect(end()).rejects.toThrow('given up')
    await running.catch(() => {})
  })

  test('Ctrl-C while the broker is asked: what is opened all the same is ended', async () => {
    const { running } = agent({ purpose: 'too late', ask: ['github=acme/api:contents:write'] })
    const told = expect(running).rejects.toThrow('nothing is opened any more')
    seat.onTask(() => seat.signal('SIGINT'))
    await signIn()
    await told
    const { items } = await desk.broker.broker.ledger.read.tasks({}, { limit: 1 })
    await until(async () => (await row(items[0]!.id)).state !== 'active')
    expect(items[0]).toMatchObject({ purpose: 'too late' })
  })

  test('who is in none of the groups, and who was switched off, is told no', async () => {
    const { ready, end } = agent()
    const sidecar = await ready
    const strangers = sidecar.open({ purpose: 'a stranger', asks: [asks.orders] })
    await signIn('vera')
    await expect(strangers).rejects.toMatchObject({ problem: { status: 403, code: 'ask_denied' } })

    const first = sidecar.open({ purpose: 'before', asks: [asks.orders] })
    await signIn()
    const { id } = await first
    const api = createApi(desk.broker, desk)
    const body = { human: desk.hanna, reason: 'has left', hold: true }
    const revoked = await api.call('POST', '/v1/revocations', await operatorTokenOf(desk.broker), body)
    expect(revoked.status, JSON.stringify(revoked.body)).toBe(202)
    await until(async () => (await row(id)).state !== 'active')
    const again = sidecar.open({ purpose: 'after', asks: [asks.orders] })
    await signIn()
    await expect(again).rejects.toMatchObject({ problem: { status: 403 } })
    await unblock(desk.broker.broker, revoked.body.id, 'operator:test')
    await end()
  })
})

describe('mayfly exec --sign-in', () => {
  test('a command has what was signed for, and no way to more', async () => {
    const running = exec(seat.terminal, ['sh', `git clone -q ${gits.url}/acme/api exec`], {
      ...{ broker: PUBLIC, signIn: true, ask: ['github=acme/api:contents:read'], purpose: 'clone it' },
      env: 'handles',
    })
    await signIn()
    await running
    const id = /task (tsk_\w+) until/.exec(seat.err())?.[1] ?? ''
    expect(await row(id)).toMatchObject({ human: desk.hanna, end: 'completed' })
    expect(Object.values(seat.started[0]!.env).filter(value => seat.secrets.has(value))).toEqual([])
    await until(() => alive().length === 0)
    expect(await seat.leftBehind()).toEqual([])
  })

  test('a signal while somebody is to sign in ends it, and the command is not started', async () => {
    const running = exec(seat.terminal, ['sh', 'true'], {
      ...{ broker: PUBLIC, signIn: true, ask: ['github=acme/api:contents:read'] },
    })
    await seat.reads(AT)
    seat.signal('SIGTERM')
    await expect(running).rejects.toThrow('given up')
    expect(seat.started).toEqual([])
  })

  test('an identity provider that is away is an outage, and a place that is not there is told', async () => {
    const ask = { broker: PUBLIC, signIn: true, ask: ['github=acme/api:contents:read'] }
    const elsewhere = exec(seat.terminal, ['sh', 'true'], { ...ask, signInAt: 'nowhere' })
    await expect(elsewhere).rejects.toThrow(`humans cannot sign in so at ${PUBLIC}: it has laptops`)
    desk.people.setDown(true)
    const running = exec(seat.terminal, ['sh', 'true'], ask)
    await expect(running).rejects.toMatchObject({ exitCode: 4 })
    desk.people.setDown(false)
    expect(seat.started).toEqual([])
  })

  test.each([
    ['a file of evidence beside it', { signIn: true, evidenceFile: 'x' }],
    ['a device without it', { device: true }],
  ])('%s is refused', async (_, options) => {
    const running = exec(seat.terminal, ['sh', 'true'], {
      ...{ broker: PUBLIC, ask: ['github=acme/api:contents:read'] },
      ...options,
    })
    await expect(running).rejects.toMatchObject({ exitCode: 2 })
  })
})
