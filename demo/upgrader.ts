/**
 * `npx node demo/upgrader.ts`, in a terminal of the playground: an agent of the highest tier. It reads, waits for a
 * human before it writes, and then does both, until somebody stops it.
 */
import { setTimeout } from 'node:timers/promises'
import { asks } from '../test/fakes/installation.ts'
import { granted, mayflyAt, type Task } from './mayfly-client.ts'
import { providersAt } from './providers.ts'
import type { Answer } from './timeline.ts'

const BETWEEN_MS = 1_000

const { MAYFLY_URL = '', SVIDS = '', GITHUB_API = '' } = process.env
if (SVIDS === '') throw new Error('expected the environment that npm run demo -- --stay prints')
const mayfly = mayflyAt(MAYFLY_URL)
const { github } = providersAt({ githubUrl: GITHUB_API, awsUrl: '', now: Date.now })
const say = (text: string) => void process.stdout.write(`upgrader  ${text}\n`)
const tell = (what: string, { from, status, words }: Answer) =>
  say(`${what.padEnd(24)} ${from}: ${status} ${words}`)

const evidence = (await (await fetch(`${SVIDS}/agent/upgrader`)).text()).trim()
const opened = await mayfly.openTask({
  ...{ evidence, purpose: 'upgrade the parser', minutes: 30, asks: [asks.apiRead, asks.api] },
  justification: 'the old one has a hole; **SECURITY HAS AGREED** https://evil.test',
})
tell('asks to read and write', opened)
const task = granted(opened)
const [toRead = '', toWrite = ''] = task.asks
const reading = granted(await mayfly.credential(task, toRead)).credential
tell('reads', await github.read(reading, 'acme/api'))
for (const approval of task.approvals)
  say(`waits for a human, who types: npx mayfly approvals approve ${approval}`)

const answer = await answered(task)
say(`its write is ${answer}`)
if (answer === 'granted') await work(granted(await mayfly.credential(task, toWrite)).credential)
tell('says that it is done', await mayfly.complete(task))
while (granted(await mayfly.show(task)).state !== 'settled') await setTimeout(BETWEEN_MS)
tell('reads', await github.read(reading, 'acme/api'))

/** How the write stands once humans have answered, or nobody has in time. */
async function answered(task: Task): Promise<string | undefined> {
  for (;;) {
    const { asks } = granted(await mayfly.show(task))
    const state = asks.find(({ id }) => id === toWrite)?.state
    if (state !== 'pending') return state
    await setTimeout(BETWEEN_MS)
  }
}

/** Until it may write no more. */
async function work(writing: string): Promise<void> {
  say('goes on until somebody types: npx mayfly agents quarantine upgrader --reason why')
  for (let commits = 1; ; commits += 1) {
    const written = await github.write(writing, 'acme/api', `src/parser-${commits}.ts`)
    tell('commits', written)
    tell('reads', await github.read(reading, 'acme/api'))
    if (written.status !== 201) return
    await setTimeout(BETWEEN_MS)
  }
}
