/** For clients that are given a credential and no task token: nobody but the broker could end such a task. */
import type { Broker } from '../broker.ts'
import { requestCredential } from '../credentials/grant-ask.ts'
import type { Credential } from '../credentials/issue-credential.ts'
import { withFreshConfiguration } from '../with-fresh-configuration.ts'
import { FIRST_CREDENTIAL_FAILED } from './claim-evidence.ts'
import { endTask } from './end-task.ts'
import type { OpenedTask } from './open-task.ts'

/**
 * Of a task that was opened with `mintFirst` and `cannotWait`. Where it was not minted with the opening, somebody had
 * agreed to it beforehand, and it is minted now; the task ends where it cannot be.
 */
export async function firstCredential(
  broker: Broker,
  { credential, task, asks }: OpenedTask,
): Promise<Credential> {
  if (credential !== undefined) return credential
  const ask = asks[0]!.id
  try {
    return await withFreshConfiguration(broker, within => requestCredential(within, task, { ask }))
  } catch (error) {
    await endTask(broker, task.id, 'failed', { actor: 'broker', detail: FIRST_CREDENTIAL_FAILED })
    throw error
  }
}
