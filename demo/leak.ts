import { asks } from '../test/fakes/installation.ts'
import { mint } from './held.ts'
import { granted } from './mayfly-client.ts'
import type { Stage } from './stage.ts'
import { poll } from './the-end.ts'
import { shown, type Timeline } from './timeline.ts'

const JOB = 'nightly job'

/** Somebody finds a token that a job has printed. What it belongs to ends, and its agent only reads from then on. */
export async function leak({ installation, mayfly, github, olga }: Stage, timeline: Timeline): Promise<void> {
  timeline.chapter(
    'A token leaks, is reported, and is dead',
    'Another night the job prints its token into a log that everybody can read. Olga gives the line to the\n' +
      'command line, which sends the hash of what may be a secret in it, and nothing else.',
  )

  // 1. A token in a log.
  const evidence = await installation.jobToken({ event_name: 'schedule' })
  const opened = await mayfly.openTask({ evidence, purpose: 'nightly', minutes: 10, asks: [asks.api] })
  timeline.tried(JOB, 'asks for a task of 10 minutes', opened, 201)
  const task = granted(opened)
  const { credential } = await mint(mayfly, task, 0)
  timeline.step(JOB, `prints: remote is https://x-access-token:${shown(credential)}@github.com/acme/api`)
  timeline.tried('thief', 'writes to acme/api with it', await github.write(credential, 'acme/api', 'a'), 201)

  // 2. Its end.
  const line = `remote is https://x-access-token:${credential}@github.com/acme/api`
  const ran = await olga.piped(line, 'leaked', '--yes', '--reason', 'in a public log')
  timeline.typed(olga.who, "leaked --yes --reason 'in a public log' < line.txt", ran, 0)
  await poll(mayfly, task, ({ credentials }) => credentials.every(({ state }) => state === 'closed'))
  timeline.tried('thief', 'writes to acme/api again', await github.write(credential, 'acme/api', 'b'), 401)
  timeline.tried(JOB, 'asks Mayfly for another token', await mayfly.credential(task, task.asks[0] ?? ''), 409)
}
