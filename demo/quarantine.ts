import type { Held, Work } from './held.ts'
import { showThatItWorks } from './held.ts'
import type { Stage } from './stage.ts'
import { poll } from './the-end.ts'
import type { Timeline } from './timeline.ts'
import { UPGRADER } from './waiting-write.ts'

/** In the middle of its task an agent loses what writes, and keeps what reads. */
export async function quarantine(
  { mayfly, olga }: Stage,
  timeline: Timeline,
  { task, held, written }: Work & { written: Held },
): Promise<void> {
  timeline.chapter(
    'An agent is quarantined in the middle of its task',
    'Olga does not like what it commits. What takes something away needs no more than her session, so it is\n' +
      'fast: from now on the agent, and whatever works below it, only reads.',
  )
  const ran = await olga.mayfly('agents', 'quarantine', 'upgrader', '--reason', 'odd commits')
  timeline.typed(olga.who, "agents quarantine upgrader --reason 'odd commits'", ran, 0)
  await poll(mayfly, task, ({ credentials }) =>
    credentials.some(({ lease, state }) => lease === written.lease && state === 'closed'),
  )
  timeline.tried(UPGRADER, `${written.what} again`, await written.use(), 401)
  for (const one of held) await showThatItWorks(timeline, { ...one, what: `${one.what} again` })
  const another = await mayfly.credential(task, task.asks[1] ?? '')
  timeline.tried(UPGRADER, 'asks for another token to write', another, 403)
}
