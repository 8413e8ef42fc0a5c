/** What must be true when the faults are over, and then when everything has had its time. */
import { expect } from 'vitest'
import { startRevocation } from '../../src/broker/revocations/revocations.ts'
import type { RunningServer } from '../../src/server.ts'
import type { Installation } from '../fakes/installation.ts'
import type { Load } from './load.ts'
import { allLeases, allTasks, liveCredentials, mintedTwice } from './truth.ts'

/**
 * The operator ends everything; then time passes until the unknown outcomes are over, too.
 *
 * @param server the only broker that is left, in this process, on the installation's clock
 */
export async function expectAllEnds(
  installation: Installation,
  server: RunningServer,
  load: Load,
): Promise<void> {
  const { ledger } = server.broker
  const order = { filter: {}, reason: 'the exercise is over', hold: false }
  await startRevocation(server.broker, order, 'operator:test')
  await server.look()
  const leases = await allLeases(ledger)
  const unsettled = new Set(leases.filter(row => row.state !== 'closed').map(row => row.task))
  const tasks = await allTasks(ledger)
  expect(tasks.filter(task => task.state !== (unsettled.has(task.id) ? 'ended' : 'settled'))).toEqual([])
  const known = new Set([...tasks, ...leases].map(row => row.id))
  expect(
    [...load.answered].filter(id => !known.has(id)),
    'answered, and not in the ledger',
  ).toEqual([])
  const unknown = new Set(leases.filter(row => row.secret_sha256 === null).map(row => row.id))
  const live = liveCredentials(installation)
  expect(live.filter(one => one.provider === 'github' && !unknown.has(one.lease))).toEqual([])

  expect(mintedTwice(installation), 'leases with more than one credential').toEqual([])

  installation.clock.advance(100 * 60_000)
  await server.look()
  expect(liveCredentials(installation)).toEqual([])
  expect((await allLeases(ledger)).filter(row => row.state !== 'closed')).toEqual([])
  expect((await allTasks(ledger)).filter(task => task.state !== 'settled')).toEqual([])
}
