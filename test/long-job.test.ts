/**
 * A job of three hours, beginning to end: git and an AWS SDK, unchanged, ask the local server that `mayfly exec` has.
 * Every clock of the world moves past one hour, twice; a credential lives for one hour.
 */
import { join } from 'node:path'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { fromHttp } from '@aws-sdk/credential-provider-http'
import { afterAll, beforeAll, expect, type MockInstance, test, vi } from 'vitest'
import type { RunningServer } from '../src/server.ts'
import { createGit, type Git } from './cli/git-helper.ts'
import { type GitServer, startGitServer } from './fakes/git-server/git-server.ts'
import { asks, BUCKET, createInstallation, type Installation, startBroker } from './fakes/installation.ts'
import { type LocalServer, startLocalServer } from './sidecar/local-server.ts'
import { until } from './support/until.ts'

const MINUTE = 60_000

/** How far everybody's clock is ahead of the machine's: the SDK reads no other than this process's. */
let ahead = 0
let clocks: MockInstance<typeof Date.now>
let installation: Installation
let broker: RunningServer
let server: GitServer
let git: Git
let local: LocalServer

beforeAll(async () => {
  const machine = Date.now
  clocks = vi.spyOn(Date, 'now').mockImplementation(() => machine() + ahead)
  installation = await createInstallation()
  const { agents, aws, github } = installation
  const probe = { call: 'ec2:DescribeRegions', endpoint: aws.url }
  await installation.configure({
    aws: { revocation: { role_policy: true, iam_endpoint: aws.url, probe } },
    agents: {
      release: { ...agents.release, limits: { ...(agents.release!.limits as object), task_minutes: 240 } },
    },
  })
  broker = await startBroker(installation)
  server = await startGitServer({ github, repositories: [{ id: 1, name: 'acme/api' }] })
  git = await createGit()
  local = await startLocalServer(installation, broker.url)
})
afterAll(async () => {
  await local?.close()
  await broker?.stop()
  await Promise.all([installation?.close(), server?.close(), git?.close()])
  clocks?.mockRestore()
})

test('past one hour, and past another, the push and the SDK go on; at the end all of it is dead', async () => {
  const { github, aws, roleArn } = installation
  const task = await local.hold([asks.api, asks.artifacts(roleArn)], { minutes: 180 })

  // 1. The programs, as they stand when the job begins: one working copy, one client of the SDK.
  const env = { MAYFLY_SOCKET: local.sidecar.socket! }
  const helper = `git config --global credential.helper '!mayfly git-credential' && git config --global credential.useHttpPath true`
  expect(await git.shell(`${helper} && git clone -q ${server.url}/acme/api job`, { env })).toMatchObject({
    ...{ code: 0, err: '' },
  })
  const { url, tokens } = local.sidecar.loopback!
  const s3 = new S3Client({
    ...{ region: 'eu-central-1', endpoint: aws.url, forcePathStyle: true, maxAttempts: 1 },
    credentials: fromHttp({
      awsContainerCredentialsFullUri: `${url}/aws/${task.asks[1]!.id}`,
      awsContainerAuthorizationToken: tokens.aws.reveal(),
    }),
  })
  const work = async (what: string) => {
    const commit = `echo '${what}' >> README.md && git commit -qam '${what}' && git push -q`
    expect(await git.shell(commit, { env, cwd: join(git.home, 'job') })).toEqual({
      code: 0,
      out: '',
      err: '',
    })
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'build.txt' }))
    expect(await Body!.transformToString()).toBe('built')
  }

  // 2. Three hours of it: what was given at first lives out its hour, and is over.
  const leases = async (state?: 'outstanding') => {
    const filter = { task: task.id, ...(state && { state }) }
    return (await broker.broker.ledger.read.leases(filter, { limit: 100 })).items
  }
  await work('the first hour')
  for (const hour of ['the second hour', 'the third hour']) {
    ahead += 61 * MINUTE
    await until(async () => {
      await broker.look()
      return (await leases('outstanding')).length === 0
    })
    await work(hour)
  }
  const { out } = await git.shell(`git -C ${server.pathOf('acme/api')} log --format=%s main -3`)
  expect(out).toBe('the third hour\nthe second hour\nthe first hour\n')
  s3.destroy()

  // 3. Its end, and that of every generation: by the ledger, and by the word of those who gave them.
  await task.complete()
  const row = async () => (await broker.broker.ledger.read.task(task.id))!
  await until(async () => {
    ahead += 10_000
    await broker.look()
    return (await row()).state === 'settled'
  })
  const items = await leases()
  for (const issuer of ['github', 'aws']) {
    const ends = items.filter(one => one.issuer === issuer).map(one => one.closed_as)
    // The newest first.
    expect(ends, issuer).toEqual(['revoked', 'expired', 'expired'])
  }
  expect(new Set(server.requests.flatMap(one => one.sha256 ?? [])).size).toBe(3)
  expect(github.credentials().filter(one => one.alive)).toEqual([])
  expect(aws.credentials().map(one => one.alive)).toEqual([false, false, false])
})
