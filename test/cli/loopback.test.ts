import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { openLoopback } from '../../src/cli/loopback.ts'

const timers = {
  schedule(ms: number, run: () => void) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}
const open = () => openLoopback(timers, { ports: [], state: 'ours' })

test('takes the redirect that carries the state, on its one path and by its one name', async () => {
  const loopback = await open()
  const { port } = new URL(loopback.redirectUri)
  const answer = loopback.answer(10_000)
  const at = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init)
  const statuses = [
    (await at('/callback?code=c&state=theirs')).status,
    (await at('/callback?code=c')).status,
    (await at('/other?code=c&state=ours')).status,
    (await at('/callback?code=c&state=ours', { method: 'POST' })).status,
    (await fetch(`http://localhost:${port}/callback?code=c&state=ours`).catch(() => ({ status: 400 })))
      .status,
  ]
  expect(statuses).toEqual([400, 400, 400, 400, 400])
  const page = await at('/callback?code=c&state=ours')
  expect([page.status, page.headers.get('content-security-policy')]).toEqual([200, "default-src 'none'"])
  expect((await answer).searchParams.get('code')).toBe('c')
  await loopback.close()
})

test('closes though somebody holds a connection on which nothing was asked', async () => {
  const loopback = await open()
  const idle = connect(Number(new URL(loopback.redirectUri).port), '127.0.0.1')
  await new Promise(resolve => idle.once('connect', resolve))
  const closed = new Promise(resolve => idle.once('close', resolve))
  idle.on('error', () => {})
  await loopback.close()
  await closed
})

test('gives up when the time is over', async () => {
  let late = () => {}
  const loopback = await openLoopback(
    {
      schedule(_ms, run) {
        late = run
        return () => {}
      },
    },
    { ports: [], state: 'ours' },
  )
  const answer = loopback.answer(1)
  late()
  await expect(answer).rejects.toThrow('nobody signed in')
  await loopback.close()
})

test('takes the first free one of the ports that are named, and says where none is', async () => {
  const first = await open()
  const taken = Number(new URL(first.redirectUri).port)
  await expect(openLoopback(timers, { ports: [taken], state: 'x' })).rejects.toThrow('EADDRINUSE')
  const second = await openLoopback(timers, { ports: [taken, 0], state: 'x' })
  expect(new URL(second.redirectUri).port).not.toBe(String(taken))
  await Promise.all([first.close(), second.close()])
})
