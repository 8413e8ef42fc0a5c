/**
 * `npm run demo`: Mayfly's main job from evidence to the last credential's end, over real sockets, against
 * stand-ins that enforce what the real providers enforce. It checks what it shows: anything that is not as
 * promised is said, and fails the demo.
 */
import { codingAgent } from './coding-agent.ts'
import { leak } from './leak.ts'
import { ordinaryPrograms } from './ordinary-programs.ts'
import { quarantine } from './quarantine.ts'
import { reckoning } from './reckoning.ts'
import { releaseJob } from './release-job.ts'
import { openStage, type Stage } from './stage.ts'
import { theEnd, theOneThatNobodyCanRevoke } from './the-end.ts'
import { createTimeline, type Timeline } from './timeline.ts'
import { tooMuch } from './too-much.ts'
import { waitingWrite } from './waiting-write.ts'

export type DemoOptions = {
  out: (text: string) => void
  color: boolean
  /** Rejects when the demo is to stop where it is. */
  interrupted?: Promise<never>
  /** Opens another world to play in. */
  open?: () => Promise<Stage>
}

/** True where everything was as promised. Nothing is left behind, however it ends. */
export async function runDemo({ out, color, interrupted, open = openStage }: DemoOptions): Promise<boolean> {
  const began = performance.now()
  const timeline = createTimeline({ out, color, elapsed: () => performance.now() - began })
  timeline.text(INTRODUCTION)
  const stage = await open()
  try {
    const outstanding = await Promise.race([play(stage, timeline), ...(interrupted ? [interrupted] : [])])
    timeline.text(WHERE_TO_GO_NEXT)
    return conclude(timeline, outstanding)
  } finally {
    await stage.close()
  }
}

/** The chapters, in order. Returns how many credentials are outstanding. */
async function play(stage: Stage, timeline: Timeline): Promise<number> {
  introduce(stage, timeline)
  const release = await releaseJob(stage, timeline)
  const { parent, child } = await codingAgent(stage, timeline)
  await ordinaryPrograms(stage, timeline)
  const upgrade = await waitingWrite(stage, timeline)
  await tooMuch(stage, timeline, parent.task)
  await quarantine(stage, timeline, upgrade)
  await leak(stage, timeline)
  const session = await theEnd(stage, timeline, { release, parent, child, upgrade })
  await theOneThatNobodyCanRevoke(stage, timeline, { task: release.task, session })
  return reckoning(stage, timeline)
}

function introduce({ installation, broker }: Stage, timeline: Timeline): void {
  const { github, aws, identityProvider, people, directory } = installation
  timeline.chapter(
    'Who takes part',
    'Everything runs in this process, on free ports, and keeps its files in one folder that goes away.',
  )
  timeline.step('Mayfly', `listens on ${broker.url}, with its ledger in ${directory}/data`)
  timeline.step('GitHub', `stand-in on ${github.url}: repositories acme/api and acme/web`)
  timeline.step('AWS', `stand-in on ${aws.url}: STS, and S3 with buckets artifacts and ledgers`)
  timeline.step('identities', `stand-in on ${identityProvider.issuer}: says who a job is`)
  timeline.step('sign-in', `stand-in on ${people.issuer}: says who a human is`)
  timeline.step('orders API', 'an ordinary API: it asks Mayfly about each token that it is shown')
}

/** The last word. */
function conclude({ text, broken }: Timeline, outstanding: number): boolean {
  if (broken.length === 0) {
    text(`${outstanding} credentials outstanding`)
    return true
  }
  const things = broken.length === 1 ? 'one thing was' : `${broken.length} things were`
  text(`${outstanding} credentials outstanding, and ${things} not as promised:\n- ${broken.join('\n- ')}`)
  return false
}

const INTRODUCTION = `Mayfly gives workloads credentials that live as long as the task, and die with it.

Every "allowed" and "refused" below is the answer to a request over a socket on this machine. GitHub, AWS and
the identity providers are stand-ins: they check signatures, scopes and times by the real ones' rules, and
Mayfly has no say in what they answer. The refusals are the point: each is what should happen. If anything
does not go as it should, the demo says NOT AS PROMISED, and fails.`

const WHERE_TO_GO_NEXT = `
Where to go next
  npm run demo -- --stay   this world, to play in: an approval by hand, and what the README has for you
  README.md                five minutes for a CI job, a coding agent, an AWS or octo-sts user, ...; then the pages
  config/mayfly.yaml       what Mayfly trusts and issues; config/agents/ and policies/ say who may have what
  data/mayfly.db           where the ledger will be, once you run: npm start
`
