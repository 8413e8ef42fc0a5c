/**
 * `npm run demo`: Mayfly's main job from evidence to the last credential's end, over real sockets, against
 * stand-ins that enforce what the real providers enforce. It checks what it shows: anything that is not as
 * promised is said, and fails the demo.
 */
import { codingAgent } from './coding-agent.ts'
import { reckoning } from './reckoning.ts'
import { releaseJob } from './release-job.ts'
import { openStage, type Stage } from './stage.ts'
import { theEnd, theOneThatNobodyCanRevoke } from './the-end.ts'
import { createTimeline, type Timeline } from './timeline.ts'

export type DemoOptions = {
  out: (text: string) => void
  color: boolean
  /** Rejects when the demo is to stop where it is. */
  interrupted?: Promise<never>
  /** Another world to play in. */
  open?: () => Promise<Stage>
}

/** True where everything was as promised. Nothing of it is left behind, however it ends. */
export async function runDemo({ out, color, interrupted, open = openStage }: DemoOptions): Promise<boolean> {
  const began = performance.now()
  const timeline = createTimeline({ out, color, elapsed: () => performance.now() - began })
  timeline.text(INTRODUCTION)
  const stage = await open()
  try {
    const outstanding = await Promise.race([play(stage, timeline), ...(interrupted ? [interrupted] : [])])
    timeline.text(WHERE_TO_GO_NEXT)
    if (timeline.broken.length > 0) timeline.text(`Not as promised:\n- ${timeline.broken.join('\n- ')}\n`)
    timeline.text(`${outstanding} credentials outstanding`)
    return timeline.broken.length === 0 && outstanding === 0
  } finally {
    await stage.close()
  }
}

/** The chapters, in order. Returns how many credentials are outstanding. */
async function play(stage: Stage, timeline: Timeline): Promise<number> {
  const { installation, broker } = stage
  timeline.step('Mayfly', `listens on ${broker.url}, its ledger in ${installation.directory}/data`)
  timeline.step('GitHub', `stand-in on ${installation.github.url}: repositories acme/api and acme/web`)
  timeline.step('AWS', `stand-in on ${installation.aws.url}: STS, and S3 with two buckets`)
  timeline.step('runner', `identity provider on ${installation.identityProvider.issuer}`)

  const release = await releaseJob(stage, timeline)
  const { parent, child } = await codingAgent(stage, timeline)
  const left = await theEnd(stage, timeline, { release, parent, child })
  for (const session of left)
    await theOneThatNobodyCanRevoke(stage, timeline, { task: release.task, session })
  return reckoning(stage, timeline)
}

const INTRODUCTION = `Mayfly gives workloads credentials that live as long as the task, and die with it.

Every line below is a request over a socket on this machine. GitHub and AWS are stand-ins: they check
signatures, scopes and times by their own rules, and Mayfly has no say in what they answer.
"refused" is what should happen wherever you see it; anything not as promised is marked, and fails the demo.
`

const WHERE_TO_GO_NEXT = `
Where to go next
  README.md            one exchange by hand, with curl; and how a GitHub Actions job uses Mayfly today
  config/mayfly.yaml   what Mayfly trusts and issues; config/agents/ says who may have what
  data/mayfly.db       where the ledger will be, once you run: npm start
`
