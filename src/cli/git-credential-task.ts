/**
 * Tokens for git from a task whose file is held. Nothing is kept between two questions: each is answered with a
 * token of its own, minted for an ask of the task and revoked with it. git asks once for each command.
 */
import { z } from 'zod'
import { giveBackCall, readCall } from '../client/task-calls.ts'
import { chooseForGit, type GitChoice } from '../sidecar/git-choice.ts'
import type { GitTarget } from '../sidecar/git-repository.ts'
import { leaseAnswer, taskAnswer } from './answers.ts'
import { type Client, createClient } from './client.ts'
import type { CredentialSource, GitAnswer } from './git-credential-source.ts'
import { printable } from './print.ts'
import { type HeldTask, readTaskFile } from './task-file.ts'
import { mint } from './task-session.ts'
import { CommandError, type Terminal } from './terminal.ts'

const gitTask = taskAnswer.extend({
  asks: z.array(
    z.looseObject({
      id: z.string(),
      state: z.string(),
      decision: z.string(),
      provider: z.string().optional(),
      authorization_details: z.looseObject({ type: z.string() }),
    }),
  ),
  approvals: z.array(z.looseObject({ id: z.string(), ask: z.string(), state: z.string() })).default([]),
  credentials: z.array(leaseAnswer.extend({ sha256: z.string().nullable() })).default([]),
})
type GitTask = z.infer<typeof gitTask>
type Ask = GitTask['asks'][number]

/** Its methods throw CommandError as the port says. */
export function taskSource(terminal: Terminal, path: string): CredentialSource {
  async function look(): Promise<{ client: Client; held: HeldTask; task: GitTask }> {
    const held = await readTaskFile(terminal, path)
    const client = createClient(terminal, held.broker)
    return { client, held, task: await client.call(readCall(held), gitTask) }
  }
  return {
    async get(target) {
      const { client, held, task } = await look()
      const choice = chooseForGit(task.asks, target)
      if (choice.kind === 'foreign') return choice
      if (task.state !== 'active') return { kind: 'refused', message: tellEnded(task) }
      if (choice.kind !== 'found') return { kind: 'refused', message: tellWhyNot(task, choice, target) }
      return mintFor(client, held, task, choice)
    },
    async rejected(_target, sha256) {
      const { client, held, task } = await look()
      const lease = task.credentials.find(one => one.sha256 === sha256 && one.state === 'active')
      if (lease !== undefined) await client.call(giveBackCall(held, lease.lease), leaseAnswer)
    },
  }
}

async function mintFor(
  client: Client,
  held: HeldTask,
  task: GitTask,
  { ask, better, repository }: GitChoice<Ask> & { kind: 'found' },
): Promise<GitAnswer> {
  try {
    const { secret, answer } = await mint(client, held, { ask: ask.id })
    const expiresAt = Math.min(Date.parse(answer.expires_at), Date.parse(answer.provider_expires_at))
    const note =
      better &&
      `more than this for ${repository} ${waitsFor(task, better)}; wait with: mayfly task wait ${task.id}`
    return { kind: 'credential', token: secret, expiresAt, ...(note && { note }) }
  } catch (error) {
    if (error instanceof CommandError) return { kind: 'refused', message: error.message }
    throw error
  }
}

function tellEnded({ id, end }: GitTask): string {
  return `task ${id} has ended (${printable(end ?? 'ended')}), and what it was given with it. Open a new one with: mayfly task open`
}

function tellWhyNot(
  task: GitTask,
  choice: Exclude<GitChoice<Ask>, { kind: 'foreign' | 'found' }>,
  { protocol, host, path = '' }: GitTarget,
): string {
  const { ask } = choice
  const issuer = printable(ask.authorization_details.type)
  const decided = `decision ${printable(ask.decision)}`
  const owner = `Where that is denied, whoever answers for the agent ${printable(task.agent)} must allow it`
  switch (choice.kind) {
    case 'unpathed':
      return (
        `git did not say which repository, and task ${task.id} has several. Switch it on with: ` +
        `git config --global credential.${protocol}://${host}.useHttpPath true`
      )
    case 'unmatched':
      if (choice.repository === undefined)
        return `${JSON.stringify(printable(path))} is no repository that a task can ask for: expected owner/name`
      return (
        `task ${task.id} may not have ${choice.repository} (${decided}). Open a task with ` +
        `--ask ${issuer}=${choice.repository}:contents:read, or contents:write to push. ${owner}`
      )
    case 'contentless':
      return (
        `task ${task.id} has ${choice.repository} without its contents (${decided}). Open a task with ` +
        `--ask ${issuer}=${choice.repository}:contents:read, or contents:write to push. ${owner}`
      )
    case 'waiting':
      return `${choice.repository} ${waitsFor(task, ask)}; wait with: mayfly task wait ${task.id}`
    case 'over':
      return `${choice.repository} is ${printable(ask.state)} for task ${task.id} (${decided}): an ask that is over stays so. Ask anew, and better`
  }
}

function waitsFor({ approvals }: GitTask, { id }: Ask): string {
  const approval = approvals.findLast(one => one.ask === id)
  return `waits for humans${approval === undefined ? '' : ` (approval ${printable(approval.id)})`}`
}
