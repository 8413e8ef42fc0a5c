import { setTimeout as wait } from 'node:timers/promises'

/** Waits until a condition holds; the test's own time limit is what bounds it. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await wait(5)
}
