import { asks } from '../test/fakes/installation.ts'
import { hold, mint, showThatItWorks, type Work } from './held.ts'
import { granted } from './mayfly-client.ts'
import type { Stage } from './stage.ts'
import { clockTime, shown, type Timeline } from './timeline.ts'

const CODER = 'coding agent'
const REVIEWER = 'sub-agent'

/** A coding agent by JWT-SVID, and a sub-agent that gets less than its parent. */
export async function codingAgent(stage: Stage, timeline: Timeline): Promise<{ parent: Work; child: Work }> {
  const { installation, mayfly, github, orders } = stage
  timeline.chapter(
    'A coding agent starts a sub-agent, which gets less than it has itself',
    'The agent proves itself by a SPIFFE identity (JWT-SVID) of its platform. It never passes on its own\n' +
      'token: it hands over a one-use ticket, and the sub-agent redeems it with an identity of its own.',
  )

  // 1. The parent.
  const svid = installation.svid('/agent/coder')
  timeline.step(CODER, `gets the JWT-SVID ${shown(svid)} from its platform`)
  const opened = await mayfly.openTask({
    evidence: svid,
    purpose: 'fix the checkout bug',
    minutes: 20,
    asks: [asks.api],
  })
  timeline.tried(CODER, 'shows it and asks for a task of 20 minutes', opened, 201)
  const task = granted(opened)
  const token = await mint(mayfly, task, 0)
  timeline.step('Mayfly', `gives a GitHub token ${shown(token.credential)}: write acme/api`)
  const readApi = hold(CODER, token, 'reads acme/api', () => github.read(token.credential, 'acme/api'))
  await showThatItWorks(timeline, readApi)
  const written = await github.write(token.credential, 'acme/api', 'src/checkout.ts')
  timeline.tried(CODER, 'commits src/checkout.ts to acme/api', written, 201)

  // 2. The ticket: for one agent, once, and for less.
  const lent = [asks.apiRead, asks.orders]
  const ticket = granted(await mayfly.ticket(task, { agent: 'reviewer', minutes: 5, asks: lent })).ticket
  timeline.step(CODER, `hands its sub-agent the ticket ${shown(ticket)}: read only`)
  const asChild = (wanted: typeof lent | [typeof asks.api]) =>
    mayfly.openTask({
      evidence: installation.svid('/agent/reviewer'),
      ...{ purpose: 'review the fix', minutes: 5, ticket, asks: wanted },
    })
  timeline.tried(REVIEWER, 'asks for more: to write acme/api', await asChild([asks.api]), 403)
  const redeemed = await asChild(lent)
  timeline.tried(REVIEWER, 'redeems the ticket, to read', redeemed, 201)
  timeline.tried(REVIEWER, 'redeems the ticket a second time', await asChild(lent), 403)
  const child = granted(redeemed)
  timeline.step(
    'Mayfly',
    `opens a task for the agent "${child.agent}", which ends at ${clockTime(child.deadline)} at the latest`,
  )

  // 3. What the child holds.
  const childToken = await mint(mayfly, child, 0)
  timeline.step('Mayfly', `gives a GitHub token ${shown(childToken.credential)}: read acme/api`)
  const childJwt = await mint(mayfly, child, 1)
  timeline.step('Mayfly', `gives a JWT          ${shown(childJwt.credential)}: read orders`)
  const childReads = hold(REVIEWER, childToken, 'reads acme/api', () =>
    github.read(childToken.credential, 'acme/api'),
  )
  const childLists = hold(REVIEWER, childJwt, 'lists orders', () => orders.list(childJwt.credential))
  await showThatItWorks(timeline, childReads)
  const overreach = await github.write(childToken.credential, 'acme/api', 'src/backdoor.ts')
  timeline.tried(REVIEWER, 'commits src/backdoor.ts to acme/api', overreach, 403)
  await showThatItWorks(timeline, childLists)
  return { parent: { task, held: [readApi] }, child: { task: child, held: [childReads, childLists] } }
}
