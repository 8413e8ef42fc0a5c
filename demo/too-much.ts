import { asks } from '../test/fakes/installation.ts'
import { granted, type Task } from './mayfly-client.ts'
import type { Stage } from './stage.ts'
import type { Timeline } from './timeline.ts'

const CODER = 'coding agent'
const REVIEWER = 'sub-agent'

/** A ticket is not a permission: policy has its own say. The caller is told little, whoever answers for it all. */
export async function tooMuch(
  { installation, mayfly, olga }: Stage,
  timeline: Timeline,
  parent: Task,
): Promise<void> {
  timeline.chapter(
    'A sub-agent asks for too much, and somebody is told why',
    'The coding agent is careless this time, and its ticket lets the sub-agent write. The policies do not.',
  )

  // 1. The caller: a code, whether to come back, and the decision to ask a human about.
  const ticket = granted(
    await mayfly.ticket(parent, { agent: 'reviewer', minutes: 5, asks: [asks.api] }),
  ).ticket
  timeline.step(CODER, 'hands its sub-agent a ticket: write acme/api')
  const refused = await mayfly.openTask({
    evidence: installation.svid('/agent/reviewer'),
    ...{ purpose: 'review the fix', minutes: 5, ticket, asks: [asks.api] },
  })
  timeline.tried(REVIEWER, 'redeems it, to write', refused, 403)
  const { code = '', decision = '' } = refused.refusal
  const when = refused.retryAfter === null ? 'never (no Retry-After)' : `after ${refused.retryAfter} s`
  timeline.step(REVIEWER, `is told the code ${code}, when to come back: ${when}, and ${decision}`)
  timeline.ensure(code === 'ask_denied' && decision.startsWith('dec_'), 'a refusal has a code and a decision')
  timeline.ensure(!/agents-write-code|depth/.test(refused.words), 'the caller is not told the rules')

  // 2. Whoever answers for the agent: everything.
  const explained = await olga.mayfly('explain', decision)
  timeline.typed(olga.who, `explain ${decision}`, explained, 0)
  timeline.ensure(/rule +agents-write-code /.test(explained.text), 'explain shows the rule')
  const nearest = /nearest +agents-write-code: not when \{ context\.depth == 0 \}/
  timeline.ensure(
    nearest.test(explained.text),
    'explain names the rule that came nearest, and what it missed',
  )
}
