import { asks, BUCKET } from '../test/fakes/installation.ts'
import { hold, mint, showThatItWorks, type Work } from './held.ts'
import { granted } from './mayfly-client.ts'
import type { AwsSession } from './providers.ts'
import type { Stage } from './stage.ts'
import { clockTime, shown, type Timeline } from './timeline.ts'

const JOB = 'release job'

/** A job shaped like a GitHub Actions run: its ID token in, a task, three kinds of credential out. */
export async function releaseJob(stage: Stage, timeline: Timeline): Promise<Work> {
  const { installation, mayfly, github, s3, orders, payroll } = stage
  timeline.chapter(
    'A release job proves what it is, and gets three credentials for one task',
    'The job has no stored secret. Its runner gives it an ID token that says which repository, branch and\n' +
      'event it runs for; the agent "release" is registered in Mayfly to be recognised by exactly that.',
  )

  // 1. Evidence in, a task out. The evidence is good once.
  const idToken = await installation.jobToken()
  timeline.step(JOB, `gets the ID token ${shown(idToken)} from its runner`)
  const wanted = [asks.api, asks.artifacts(installation.roleArn), asks.orders]
  const request = { evidence: idToken, purpose: 'release 1.2.3', minutes: 10, asks: wanted }
  const opened = await mayfly.openTask(request)
  timeline.tried(JOB, 'shows it and asks for a task of 10 minutes', opened, 201)
  const task = granted(opened)
  timeline.step(
    'Mayfly',
    `opens a task for the agent "${task.agent}", which ends at ${clockTime(task.deadline)} at the latest`,
  )
  const replay = await mayfly.openTask({ ...request, purpose: 'not the release' })
  timeline.tried('thief', 'shows the same ID token a second time', replay, 401)

  // 2. Three credentials out, each for what was asked and nothing else.
  const token = await mint(mayfly, task, 0)
  timeline.step('Mayfly', `gives a GitHub token ${shown(token.credential)}: write acme/api`)
  const session = await mint<AwsSession>(mayfly, task, 1)
  timeline.step('Mayfly', `gives an AWS session ${shown(session.credential.SessionToken)}: read ${BUCKET}/*`)
  const jwt = await mint(mayfly, task, 2)
  timeline.step('Mayfly', `gives a JWT          ${shown(jwt.credential)}: read orders`)

  // 3. Each works where it should, and its provider refuses it elsewhere.
  const readApi = hold(JOB, token, 'reads acme/api', () => github.read(token.credential, 'acme/api'))
  const readBuild = hold(JOB, session, `reads s3://${BUCKET}/build.txt`, () =>
    s3.get(session.credential, BUCKET, 'build.txt'),
  )
  const readOrders = hold(JOB, jwt, 'lists orders', () => orders.list(jwt.credential))

  await showThatItWorks(timeline, readApi)
  const written = await github.write(token.credential, 'acme/api', 'RELEASE.md')
  timeline.tried(JOB, 'commits RELEASE.md to acme/api', written, 201)
  const otherRepository = await github.read(token.credential, 'acme/web')
  timeline.tried(JOB, 'reads acme/web, which it did not ask for', otherRepository, 404)

  await showThatItWorks(timeline, readBuild)
  const otherBucket = await s3.get(session.credential, 'ledgers', 'payroll.txt')
  timeline.tried(JOB, 'reads s3://ledgers/payroll.txt', otherBucket, 403)

  await showThatItWorks(timeline, readOrders)
  timeline.tried(JOB, 'places an order, with a token to read', await orders.place(jwt.credential), 403)
  timeline.tried(JOB, 'shows the token to another API', await payroll.list(jwt.credential), 401)
  return { task, held: [readApi, readBuild, readOrders] }
}
