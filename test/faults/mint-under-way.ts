import { expect } from 'vitest'
import type { FaultDecision } from '../fakes/faults.ts'
import { asks, type Installation } from '../fakes/installation.ts'
import type { Api } from '../support/api.ts'

/** @returns lets GitHub answer a mint that began before; it is refused to its task, and nothing of it is left */
export async function mintUnderWay(
  api: Api,
  github: Pick<Installation['github'], 'credentials' | 'faults'>,
): Promise<() => Promise<void>> {
  const task = await api.open([asks.api])
  const [arrived, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  github.faults = async ({ operation, when }): Promise<FaultDecision> => {
    if (operation === 'apps/create-installation-access-token' && when === 'before') {
      arrived.resolve()
      await gate.promise
    }
    return 'ok'
  }
  const minted = github.credentials().length
  const answer = api.credential(task)
  await arrived.promise
  return async () => {
    gate.resolve()
    expect((await answer).status).toBeGreaterThanOrEqual(400)
    expect(github.credentials().slice(minted)).toMatchObject([{ alive: false }])
  }
}
