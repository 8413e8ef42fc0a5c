import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { signed } from '../fakes/github/webhooks.ts'
import { asks, createInstallation, startBroker } from '../fakes/installation.ts'
import { createStage, type Job, SECRET, type Stage } from './github-stage.ts'

const HOUR = 3_600_000
let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage?.close())

const github = () => stage.installation.github
const random = (bytes: number) => Buffer.alloc(bytes, 7)

async function rejections(): Promise<{ rejection: string; detail: string }[]> {
  const { items } = await stage.broker.broker.ledger.read.audit({}, { limit: 1_000 })
  return items.filter(row => row.event === 'evidence.rejected').map(row => JSON.parse(row.data))
}

describe('the end of a job', () => {
  test.each([
    ['success', 'completed'],
    ['neutral', 'completed'],
    ['failure', 'failed'],
    ['timed_out', 'failed'],
    ['cancelled', 'cancelled'],
  ] as const)('that is a %s ends its task as %s, and what the task held', async (conclusion, end) => {
    const job = stage.newJob()
    const task = await stage.open(job, [asks.api])
    await stage.api.credential(task)
    github().setJob(job.job, { conclusion })
    const answer = await stage.send(stage.told(job))
    expect([answer.status, await answer.json()]).toEqual([202, { ended: 1 }])
    const { body } = await stage.api.until(task, 'settled')
    expect(body).toMatchObject({ end, end_detail: `its job ${job.job} has ended: ${conclusion}` })
    expect(body.credentials).toMatchObject([{ closed_as: 'revoked' }])
  })

  test('ends every task of the job, a step too, but none of another job or attempt, and none that has no job', async () => {
    const job = stage.newJob()
    const [other, again] = [stage.sibling(job), stage.sibling(job, 2)]
    const mine = [await stage.open(job), await stage.open(job, [], { lifetime: 'step' })]
    const theirs = [await stage.open(other), await stage.open(again)]
    const jobless = await stage.api.open([], {
      evidence: { type: 'jwt', token: stage.installation.svid('/agent/coder') },
    })
    github().setJob(job.job, { conclusion: 'success' })
    await stage.send(stage.told(job))
    const states = await Promise.all([...mine, ...theirs, jobless].map(stage.state))
    expect(states).toEqual(['completed', 'completed', 'active', 'active', 'active'])
  })

  test('does not end a task of the run; the end of that attempt does, and nothing of another attempt', async () => {
    const job = stage.newJob()
    const again = stage.sibling(job, 2)
    const whole = await stage.open(job, [], { lifetime: 'run' })
    const later = await stage.open(again, [], { lifetime: 'run' })
    github().setJob(job.job, { conclusion: 'success' })
    await stage.send(stage.told(job))
    expect(await stage.state(whole)).toBe('active')
    github().endRun(job.run, { conclusion: 'failure' })
    await stage.send(github().delivery({ run: job.run }, SECRET, github().url))
    expect([await stage.state(whole), await stage.state(later)]).toEqual(['failed', 'active'])
  })

  test('of a run ends the tasks of its jobs, and those whose evidence named no job', async () => {
    const job = stage.newJob()
    const named = await stage.open(job)
    const evidence = await stage.evidence(job, { check_run_id: undefined })
    const unnamed = await stage.api.open([], { evidence })
    github().endRun(job.run, { conclusion: 'cancelled' })
    await stage.send(github().delivery({ run: job.run }, SECRET, github().url))
    expect([await stage.state(named), await stage.state(unnamed)]).toEqual(['cancelled', 'cancelled'])
  })

  test('told twice, late or out of order changes nothing more', async () => {
    const job = stage.newJob()
    const task = await stage.open(job)
    const begun = stage.told(job)
    expect(await (await stage.send(begun)).json()).toEqual({ ended: 0 })
    expect(await stage.state(task)).toBe('active')
    github().setJob(job.job, { conclusion: 'failure' })
    const [first, second] = [stage.told(job), stage.told(job)]
    const answers = await Promise.all([first, first, second].map(one => stage.send(one)))
    expect(answers.map(answer => answer.status)).toEqual([202, 202, 202])
    expect(await (await stage.send(first)).json()).toEqual({ ended: 0, repeated: true })
    github().setJob(job.job, { conclusion: 'success' })
    expect(await (await stage.send(stage.told(job))).json()).toEqual({ ended: 0 })
    await stage.send(begun)
    const row = await stage.broker.broker.ledger.read.task(task.id)
    expect(row).toMatchObject({ end: 'failed' })
    const { items } = await stage.broker.broker.ledger.read.audit({ task: task.id }, { limit: 50 })
    expect(items.filter(one => one.event === 'task.ended').map(one => one.actor)).toEqual(['github-webhook'])
  })

  test('that was noted before a crash is carried out afterwards', async () => {
    const job = stage.newJob()
    const task = await stage.open(job)
    const key = `127.0.0.1/1/${job.run}/1`
    const until = stage.installation.clock.now() + HOUR
    const end = {
      run_key: key,
      job: String(job.job),
      end: 'failed',
      source: 'github-webhook',
      until,
    } as const
    await stage.broker.broker.ledger.write(tx => tx.endWork(end))
    await stage.broker.look()
    expect(await stage.state(task)).toBe('failed')
    expect(await stage.broker.broker.ledger.read.pendingWorkEnds(9)).toEqual([])
  })
})

describe('late evidence', () => {
  test('of an ended job opens nothing, and the ledger says why; a re-run is another job', async () => {
    const job = stage.newJob()
    github().setJob(job.job, { conclusion: 'success' })
    await stage.send(stage.told(job))
    for (const lifetime of ['step', 'job', 'run']) {
      const refused = await stage.tryOpen(job, { lifetime })
      expect([refused.status, refused.body.code]).toEqual([401, 'evidence_rejected'])
    }
    expect((await rejections()).at(-1)).toMatchObject({
      rejection: 'work_ended',
      detail: expect.stringContaining(`job ${job.job} of run`),
    })
    expect((await stage.tryOpen(stage.sibling(job))).status).toBe(201)
    expect((await stage.tryOpen(stage.sibling(job, 2))).status).toBe(201)
  })

  test('of an ended run opens nothing for any of its jobs', async () => {
    const job = stage.newJob()
    github().endRun(job.run, { conclusion: 'success' })
    await stage.send(github().delivery({ run: job.run }, SECRET, github().url))
    expect((await stage.tryOpen(job)).body.code).toBe('evidence_rejected')
    expect((await stage.tryOpen(stage.sibling(job))).body.code).toBe('evidence_rejected')
    expect((await stage.tryOpen(stage.sibling(job, 2))).status).toBe(201)
  })

  test('by token exchange is refused in the same words as any other bad evidence', async () => {
    const job = stage.newJob()
    github().setJob(job.job, { conclusion: 'success' })
    await stage.send(stage.told(job))
    const form = async (token: string, lifetime = 'job') =>
      stage.api.form('/oauth/token', {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
        subject_token: token,
        authorization_details: JSON.stringify([asks.orders]),
        lifetime,
      })
    const late = await form((await stage.evidence(job)).token)
    const bad = await form('not a token')
    expect([late.status, late.body]).toEqual([bad.status, bad.body])
    const running = stage.newJob()
    expect((await form((await stage.evidence(running)).token, 'forever')).status).toBe(400)
    expect((await form((await stage.evidence(running)).token, 'run')).status).toBe(200)
  })

  test('is refused until no evidence of the job can be alive any more', async () => {
    const job = stage.newJob()
    github().setJob(job.job, { conclusion: 'success' })
    await stage.send(stage.told(job))
    const { ledger } = stage.broker.broker
    const prune = () => ledger.write(tx => tx.prune(1_000))
    stage.installation.clock.advance(24 * HOUR - 60_000)
    await prune()
    expect((await stage.tryOpen(job)).body.code).toBe('evidence_rejected')
  })

  test('a lifetime that the evidence cannot end by is refused', async () => {
    const evidence = { type: 'jwt', token: stage.installation.svid('/agent/coder') }
    const open = (lifetime: string) =>
      stage.api.call('POST', '/v1/tasks', undefined, { evidence, purpose: 'a test', lifetime })
    expect((await open('run')).body).toMatchObject({ code: 'request_invalid', detail: /names no run/ })
    expect((await open('job')).body.code).toBe('request_invalid')
    expect((await open('step')).status).toBe(201)
    expect((await open('year')).status).toBe(400)
  })

  test('that races with the end leaves no task behind', async () => {
    const jobs: Job[] = Array.from({ length: 25 }, () => stage.newJob())
    const opened = await Promise.all(
      jobs.map(async job => {
        const evidence = await stage.evidence(job)
        github().setJob(job.job, { conclusion: 'success' })
        const body = { evidence, purpose: 'a race', authorization_details: [] }
        const [answer] = await Promise.all([
          stage.api.call('POST', '/v1/tasks', undefined, body),
          stage.send(stage.told(job)),
        ])
        return answer
      }),
    )
    await stage.broker.look()
    expect(opened.every(({ status }) => status === 201 || status === 401)).toBe(true)
    for (const { status, body } of opened) {
      if (status !== 201) continue
      expect((await stage.broker.broker.ledger.read.task(body.task.id))?.end).toBe('completed')
    }
  })
})

describe('what is not an end is acknowledged, and does nothing', () => {
  test.each(['ping', 'push', 'check_run', 'installation'])('the event %s', async event => {
    const job = stage.newJob()
    const task = await stage.open(job)
    github().setJob(job.job, { conclusion: 'success' })
    const answer = await stage.send(signed(event, stage.told(job).body, SECRET, random))
    expect([answer.status, await answer.json(), await stage.state(task)]).toEqual([
      202,
      { ended: 0 },
      'active',
    ])
  })

  test('another action, or a run that waits for approval', async () => {
    const job = stage.newJob()
    const task = await stage.open(job)
    github().setJob(job.job, { conclusion: 'action_required' })
    await stage.send(stage.told(job))
    github().setJob(job.job, { conclusion: 'success' })
    await stage.send(stage.told(job, 'in_progress'))
    expect(await stage.state(task)).toBe('active')
  })

  test('another repository, run, attempt, job or GitHub', async () => {
    const job = stage.newJob()
    const task = await stage.open(job)
    github().setJob(job.job, { conclusion: 'success' })
    const payload = JSON.parse(stage.told(job).body)
    const { repository, workflow_job } = payload
    const others = [
      { ...payload, repository: { ...repository, id: 2 } },
      { ...payload, repository: { ...repository, html_url: 'https://github.com/acme/api' } },
      { ...payload, workflow_job: { ...workflow_job, run_id: job.run + 1 } },
      { ...payload, workflow_job: { ...workflow_job, run_attempt: 2 } },
      { ...payload, workflow_job: { ...workflow_job, id: job.job + 1 } },
    ]
    for (const other of others) {
      const answer = await stage.send(signed('workflow_job', JSON.stringify(other), SECRET, random))
      expect([answer.status, await stage.state(task)]).toEqual([202, 'active'])
    }
  })

  test('a signed payload of another form is told as such', async () => {
    for (const body of ['{"action":"completed"}', '{"action":1}', 'null', '[]']) {
      const answer = await stage.send(signed('workflow_job', body, SECRET, random))
      expect(answer.status).toBe(400)
    }
    expect((await stage.send(signed('workflow_job', '{', SECRET, random))).status).toBe(400)
  })
})

describe('a signature', () => {
  let job: Job
  beforeAll(async () => {
    job = stage.newJob()
    const task = await stage.open(job)
    github().setJob(job.job, { conclusion: 'success' })
    return async () => expect(await stage.state(task)).toBe('active')
  })

  test('with any one byte altered is refused', async () => {
    const told = stage.told(job)
    const good = told.headers['x-hub-signature-256']!
    for (let at = 0; at < good.length; at += 1) {
      const changed = `${good.slice(0, at)}${good[at] === 'f' ? 'e' : 'f'}${good.slice(at + 1)}`
      expect((await stage.send(told, { 'x-hub-signature-256': changed })).status, `${at}`).toBe(401)
    }
  })

  test('does not hold for a body with any one byte altered', async () => {
    const told = stage.told(job)
    for (let at = 0; at < told.body.length; at += 61) {
      const byte = told.body.charCodeAt(at)
      const body = told.body.slice(0, at) + String.fromCharCode(byte ^ 1) + told.body.slice(at + 1)
      expect((await stage.send({ ...told, body })).status, `${at}`).toBe(401)
    }
    for (const body of [`${told.body} `, told.body.slice(1), '']) {
      expect((await stage.send({ ...told, body })).status).toBe(401)
    }
  })

  test('that is missing, of another kind, or with another secret is refused', async () => {
    const told = stage.told(job)
    const good = told.headers['x-hub-signature-256']!
    for (const signature of [
      '',
      'sha256=',
      good.slice(7),
      good.toUpperCase(),
      `${good}, ${good}`,
      `sha1=${good}`,
    ]) {
      expect((await stage.send(told, { 'x-hub-signature-256': signature })).status).toBe(401)
    }
    const { 'x-hub-signature-256': _, ...headers } = told.headers
    expect((await stage.send({ ...told, headers })).status).toBe(401)
    for (const secret of ['another secret of length', SECRET.toUpperCase(), `${SECRET}\n`]) {
      expect((await stage.send(signed('workflow_job', told.body, secret, random))).status).toBe(401)
    }
  })

  test('comes on JSON of bounded size, or is not looked at', async () => {
    const told = stage.told(job)
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await stage.send(told, form)).status).toBe(415)
    const large = signed('ping', JSON.stringify({ zen: 'x'.repeat(300 * 1024) }), SECRET, random)
    expect((await stage.send(large)).status).toBe(413)
  })
})

test('during a rotation both secrets are good, and after it one', async () => {
  const file = join(stage.installation.directory, 'hook-secret')
  const next = 'the next webhook secret'
  const ping = (secret: string) => stage.send(signed('ping', '{"zen":"x"}', secret, random))
  await writeFile(file, `${next}\n${SECRET}\n`)
  expect([(await ping(next)).status, (await ping(SECRET)).status]).toEqual([202, 202])
  await writeFile(file, `${next}\n`)
  expect([(await ping(next)).status, (await ping(SECRET)).status]).toEqual([202, 401])
  await writeFile(file, 'short\n')
  expect((await ping(next)).status).toBe(500)
  await writeFile(file, `${SECRET}\n`)
})

test('without a secret configured, nothing is served there; with an unusable one, nothing starts', async () => {
  const observers = { github_webhooks: { secret_file: 'hook-secret' } }
  const plain = await createInstallation()
  try {
    const broker = await startBroker(plain)
    expect((await fetch(`${broker.url}/webhooks/github`, { method: 'POST' })).status).toBe(404)
    await broker.stop()
    await plain.configure({ settings: { observers } })
    await expect(startBroker(plain)).rejects.toThrow(/hook-secret/)
    await writeFile(
      join(plain.directory, 'hook-secret'),
      'one long secret here\nanother long one here\na third long one\n',
      { mode: 0o600 },
    )
    await expect(startBroker(plain)).rejects.toThrow(/one webhook secret, or two/)
  } finally {
    await plain.close()
  }
})

test('whatever a signed webhook says, it opens, extends and widens nothing', async () => {
  const job = stage.newJob()
  const task = await stage.open(job, [asks.api])
  await stage.api.credential(task)
  const { read } = stage.broker.broker.ledger
  const authority = async () => {
    const { items: tasks } = await read.tasks({}, { limit: 1_000 })
    const { items: leases } = await read.leases({}, { limit: 1_000 })
    return {
      tasks: new Map(tasks.map(one => [one.id, one])),
      leases: new Map(leases.map(one => [one.id, one])),
    }
  }
  const before = await authority()
  const id = fc.oneof(fc.constant(1), fc.constant(job.run), fc.constant(job.job), fc.integer(), fc.double())
  const word = fc.oneof(
    fc.constantFrom('completed', 'in_progress', 'queued', 'success', 'failure', 'requested', 'rerequested'),
    fc.string(),
    fc.constant(null),
  )
  const progress = { id, run_id: id, run_attempt: id, status: word, conclusion: word }
  const about = fc.oneof(fc.record(progress, { requiredKeys: [] }), fc.jsonValue())
  const repository = { id, html_url: fc.oneof(fc.constant(github().url), fc.webUrl(), word) }
  const payload = fc.oneof(
    fc.record(
      {
        action: word,
        workflow_job: about,
        workflow_run: about,
        repository: fc.record(repository),
        extra: fc.jsonValue(),
      },
      { requiredKeys: [] },
    ),
    fc.jsonValue(),
  )
  const event = fc.constantFrom('workflow_job', 'workflow_run', 'push', 'deployment', 'repository_dispatch')
  await fc.assert(
    fc.asyncProperty(event, payload, async (name, body) => {
      const answer = await stage.send(signed(name, JSON.stringify(body), SECRET, random))
      expect([202, 400]).toContain(answer.status)
    }),
    { numRuns: 150, seed: 20_261_122 },
  )
  const after = await authority()
  expect([...after.tasks.keys()]).toEqual([...before.tasks.keys()])
  expect([...after.leases.keys()]).toEqual([...before.leases.keys()])
  for (const [key, row] of after.tasks) {
    const was = before.tasks.get(key)!
    expect(row).toMatchObject({ deadline: was.deadline, heartbeat_due: was.heartbeat_due, mac: was.mac })
    if (was.state !== 'active') expect(row.state).not.toBe('active')
  }
  for (const [key, row] of after.leases) {
    const was = before.leases.get(key)!
    expect(row).toMatchObject({ granted: was.granted, expires_at: was.expires_at })
    if (was.state !== 'active') expect(row.state).not.toBe('active')
  }
})
