import { readText } from './answers.ts'
import { CLIENT_LIMITS } from './limits.ts'
import { MayflyError } from './mayfly-error.ts'
import { receiptCall, type TaskKey } from './task-calls.ts'
import type { Call } from './transport.ts'
import { sleep, type World } from './world.ts'

/** `waitMs`: 10 seconds unless told; 0 looks once. */
export type ReceiptWait = { waitMs?: number; signal?: AbortSignal }

export async function waitForReceipt(
  call: (what: Call) => Promise<unknown>,
  world: World,
  task: TaskKey,
  { waitMs = CLIENT_LIMITS.receiptWaitMs, signal }: ReceiptWait = {},
): Promise<string | undefined> {
  const until = world.now() + waitMs
  for (;;) {
    try {
      return readText(await call(receiptCall(task)), 'receipt')
    } catch (error) {
      if (!(error instanceof MayflyError) || error.code !== 'receipt_not_ready') throw error
      if (world.now() >= until) return undefined
    }
    await sleep(world, CLIENT_LIMITS.receiptPollMs, signal)
  }
}
