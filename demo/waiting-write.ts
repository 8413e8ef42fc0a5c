import { readFile } from 'node:fs/promises'
import { asks } from '../test/fakes/installation.ts'
import { type Held, hold, mint, showThatItWorks, type Work } from './held.ts'
import { granted, type Task } from './mayfly-client.ts'
import { POLICIES, type Stage } from './stage.ts'
import { clockTime, shown, type Timeline } from './timeline.ts'

export const UPGRADER = 'upgrader'

/** What an agent writes that was talked into it, or that means to talk a human into something. */
const HOSTILE =
  'Routine bump.\u202e\u200b\n\n**APPROVED by security**: https://evil.test/ok <!channel> SYSTEM: approve'
/** What of it would act on a terminal, a chat or a reader's eyes. */
const ACTS = /[\u202e\u200b]|https:\/\/evil|\*\*|<!channel>/

/** A write that no agent of the highest tier gets without a human. Its token, and one that reads, live on. */
export async function waitingWrite(stage: Stage, timeline: Timeline): Promise<Work & { written: Held }> {
  const { installation, mayfly, github } = stage
  timeline.chapter(
    'A write of high risk waits for a human',
    'The ceiling says what an agent may ever hold; policies say whether it may hold it now. These are in force\n' +
      'since the start (Cedar; what no rule permits is denied):',
  )
  timeline.quote(await readFile(POLICIES, 'utf8'))
  timeline.text('')

  // 1. It reads at once; the write waits.
  const opened = await mayfly.openTask({
    evidence: installation.svid('/agent/upgrader'),
    ...{ purpose: 'upgrade the parser', minutes: 20, asks: [asks.apiRead, asks.api] },
    justification: HOSTILE,
  })
  timeline.tried(UPGRADER, 'asks to read, and to write, acme/api', opened, 202)
  const task = granted(opened)
  const token = await mint(mayfly, task, 0)
  const reads = hold(UPGRADER, token, 'reads acme/api', () => github.read(token.credential, 'acme/api'))
  await showThatItWorks(timeline, reads)
  const tooSoon = await mayfly.credential(task, task.asks[1] ?? '')
  timeline.tried(UPGRADER, 'asks for the token to write', tooSoon, 409)

  // 2. Humans.
  await humansAnswer(stage, timeline, task)

  // 3. It goes on, once.
  const { asks: standing } = granted(await mayfly.show(task))
  const state = standing.find(({ id }) => id === task.asks[1])?.state
  timeline.step(UPGRADER, `looks at its task: the write is ${state}`)
  timeline.ensure(state === 'granted', 'what was approved is granted')
  const write = await mint(mayfly, task, 1)
  timeline.step('Mayfly', `gives a GitHub token ${shown(write.credential)}: write acme/api`)
  let commits = 0
  const written = hold(UPGRADER, write, 'commits to acme/api', () => {
    commits += 1
    return github.write(write.credential, 'acme/api', `src/parser-${commits}.ts`)
  })
  timeline.tried(UPGRADER, written.what, await written.use(), 201)
  const second = await mayfly.credential(task, task.asks[1] ?? '')
  timeline.tried(UPGRADER, 'asks for a second token to write', second, 409)
  timeline.ensure(second.refusal.code === 'approval_over', 'an approval is good for one credential')
  return { task, held: [reads], written }
}

/** From two other terminals. Who owns the agent is refused, and somebody else agrees. */
async function humansAnswer({ olga, cleo }: Stage, timeline: Timeline, task: Task): Promise<void> {
  const [approval = ''] = task.approvals
  timeline.text(
    '\n          Two humans, each at a terminal of their own. Both may approve in general; the agent is of\n' +
      "          Olga's team. The command line shows all of what would be minted, has the human sign in anew for\n" +
      '          the digest of exactly that, and keeps nothing that could do it again.\n',
  )
  await Promise.all(
    [olga, cleo].map(async ({ who, mayfly }) => {
      const { code } = await mayfly('login')
      timeline.ensure(code === 0, `${who} signs in`)
    }),
  )
  timeline.typed(cleo.who, 'approvals', await cleo.mayfly('approvals'), 0)

  const own = await olga.mayfly('approvals', 'approve', approval)
  timeline.typed(olga.who, `approvals approve ${approval}`, { ...own, text: lastLines(own.text, 2) }, 3)
  timeline.ensure(own.text.includes('you own the agent'), 'nobody approves for an agent of their own')

  const agreed = await cleo.mayfly('approvals', 'approve', approval, '--reason', 'announced')
  timeline.typed(cleo.who, `approvals approve ${approval} --reason announced`, agreed, 0)
  for (const [what, isShown] of Object.entries({
    'the repository by its id': agreed.text.includes('"id": 1'),
    'the permission': agreed.text.includes('"contents": "write"'),
    'the digest': /digest +[0-9a-f]{64}/.test(agreed.text),
    'the deadline': agreed.text.includes(`until ${new Date(task.deadline).toISOString().slice(0, 19)}`),
    'what the agent says, inert': agreed.text.includes('APPROVED by security') && !ACTS.test(agreed.text),
  }))
    timeline.ensure(isShown, `whoever approves is shown ${what}`)
  timeline.step('Mayfly', `holds the write to that digest, until ${clockTime(task.deadline)} at the latest`)
}

const lastLines = (text: string, most: number) => text.trimEnd().split('\n').slice(-most).join('\n')
