import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { createApi } from '../support/api.ts'
import { createShell, type Running, type Shell } from './mayfly.ts'

let installation: PeopledInstallation
let broker: RunningServer
let shell: Shell

beforeAll(async () => {
  installation = await createPeopledInstallation({ oidc: { device_flow: true } })
  broker = await startBroker(installation)
  shell = await createShell({ MAYFLY_OPERATOR_URL: broker.url })
})
afterAll(async () => {
  await shell.close()
  await broker.stop()
  await installation.close()
})

const ADDRESS = /sign in at:\n\s+(\S+)/
const sessionFile = () =>
  join(shell.home, '.config/mayfly/sessions', `${new URL(broker.url).host.replace(':', '_')}.json`)

/** Signs in wherever the running command asks for it. */
async function signIn(running: Running, id: string): Promise<void> {
  const page = await installation.people.human(id).visit(await running.reads(ADDRESS))
  expect(page).toMatchObject({ status: 200 })
  // Inert: nothing of the address is in the page, and nothing in it runs.
  expect(page.text).not.toMatch(/code|state|<script/)
}

async function login(id: string): Promise<void> {
  const running = shell.start(['login'])
  await signIn(running, id)
  expect((await running.ended).code).toBe(0)
}

describe('mayfly login', () => {
  test('keeps a session in a file of mode 0600, and prints no token', async () => {
    const running = shell.start(['login'])
    await signIn(running, 'vera')
    const { code, out, err } = await running.ended
    expect([code, out]).toEqual([0, expect.stringContaining('Signed in as Vera until')])
    const { token } = JSON.parse(await readFile(sessionFile(), 'utf8')) as { token: string }
    expect(token).toMatch(/^mfs_/)
    expect(out + err).not.toContain(token)
    expect((await stat(sessionFile())).mode & 0o777).toBe(0o600)
    expect((await shell.ok(['leases'])).out).toContain('0 leases')
    expect((await shell.ok(['whoami'])).out).toMatch(
      /^Vera \(http.*#vera\), until .*\ngroups: mayfly-viewer\n$/,
    )
  })

  test('keeps one that may revoke nothing where its human may not', async () => {
    await login('vera')
    const { err } = await shell.fails(3, ['revoke', '--agent', 'release', '--reason', 'a test'])
    expect(err).toContain('your groups do not let you revoke here')
  })

  test('by device, where the broker takes it', async () => {
    const running = shell.start(['login', '--device'])
    const address = await running.reads(ADDRESS)
    const code = await running.reads(/with the code:\n\s+(\S+)/)
    await installation.people.human('ada').approveDevice(`${address}?user_code=${code}`)
    expect((await running.ended).out).toContain('Signed in as Ada')
    expect((await shell.ok(['whoami'])).out).toMatch(/^Ada /)
  })

  test('is refused by the redirect of a sign-in that somebody else began', async () => {
    const running = shell.start(['login'])
    const url = new URL(await running.reads(ADDRESS))
    const redirect = new URL(url.searchParams.get('redirect_uri') ?? '')
    redirect.search = '?code=stolen&state=guessed'
    expect((await fetch(redirect)).status).toBe(400)
    await installation.people.human('vera').visit(url.href)
    expect((await running.ended).code).toBe(0)
  })

  test('says that it is an outage where the identity provider is away', async () => {
    installation.people.setDown(true)
    try {
      expect((await shell.fails(4, ['login'])).err).toContain('the identity provider did not sign you in')
      // A session that is there goes on.
      await shell.ok(['leases'])
    } finally {
      installation.people.setDown(false)
    }
  })
})

describe('what widens', () => {
  test('signs in again, for that alone', async () => {
    await login('ada')
    const api = createApi(broker, installation)
    await shell.ok(['revoke', '--agent', 'coder', '--reason', 'a test', '--hold'])
    const { token } = JSON.parse(await readFile(sessionFile(), 'utf8')) as { token: string }
    const [held] = (await api.call('GET', '/v1/revocations?blocking=true', token)).body.items
    const running = shell.start(['unblock', held.id])
    await signIn(running, 'ada')
    const { code, out, err } = await running.ended
    expect([code, out], err).toEqual([0, `${held.id} refuses nothing any more.\n`])
  })
})

describe('mayfly logout', () => {
  test('ends the session at the broker, and removes it', async () => {
    await login('vera')
    const { token } = JSON.parse(await readFile(sessionFile(), 'utf8')) as { token: string }
    expect((await shell.ok(['logout'])).out).toBe('Signed out.\n')
    expect((await createApi(broker, installation).call('GET', '/v1/leases', token)).status).toBe(401)
    await expect(stat(sessionFile())).rejects.toThrow('ENOENT')
    expect((await shell.ok(['logout'])).out).toBe('There was no session.\n')
    expect((await shell.fails(2, ['leases'])).err).toContain('mayfly login')
  })
})
