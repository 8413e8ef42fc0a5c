/** A task and its asks in words and as data. */
import type { Lease } from '../client/answers.ts'
import type { LocalAsk, LocalTask } from '../sidecar/protocol.ts'
import type { AskAnswer, CredentialAnswer, Setup, TaskAnswer } from './answer-shapes.ts'
import type { Room } from './room.ts'
import { shown, shownTime } from './shown.ts'

export async function describeTask(room: Room, task: LocalTask): Promise<TaskAnswer> {
  const { id, agent, purpose, state, deadline, decision, asks } = task
  const once = looksOnce(room)
  return {
    ...{ task: id, agent: shown(agent), purpose: shown(purpose), state, deadline: shownTime(deadline) },
    ...(decision !== undefined && { decision }),
    asks: await Promise.all(asks.map(ask => describeAsk(once, ask, state))),
  }
}

/** Several asks of one provider look at the surroundings once. */
function looksOnce(room: Room): Room {
  const looked = new Map<string | undefined, Promise<Setup>>()
  return {
    ...room,
    setup(provider) {
      const setup = looked.get(provider) ?? room.setup(provider)
      looked.set(provider, setup)
      return setup
    },
  }
}

export async function describeAsk(
  room: Room,
  { handle, kind, state, authorization_details, approval, provider }: LocalAsk,
  task: TaskAnswer['state'] = 'active',
): Promise<AskAnswer> {
  const reason = approval?.reason ?? null
  return {
    ...{ ask: handle, kind, state, authorization_details },
    ...(approval !== undefined && {
      approval: { id: approval.id, state: approval.state, reason: reason === null ? null : shown(reason) },
    }),
    how_to_use:
      task === 'active'
        ? howToUse(room, await room.setup(provider), { handle, kind, state, authorization_details, provider })
        : 'The task is over, and so is this.',
  }
}

type Usable = Pick<LocalAsk, 'handle' | 'kind' | 'state' | 'authorization_details'> & {
  provider: string | undefined
}

function howToUse(room: Room, { run, git, aws }: Setup, ask: Usable): string {
  if (ask.state === 'pending')
    return 'Humans are asked, and nothing is there before they agree: wait_for_approval.'
  if (ask.state !== 'granted') return 'It was not granted, and stays so: why_not tells more.'
  const own = `${run} --handle ${ask.handle} --`
  switch (ask.kind) {
    case 'github': {
      const others = `For gh and others that read GH_TOKEN: ${own} gh pr list`
      return git.ready
        ? `git works as it is on https://${ask.provider ?? 'github.com'}, for these repositories. ${others}`
        : `Put "${run} --" before each git command: ${run} -- git push. ${others}`
    }
    case 'aws': {
      const [profile] = aws.profiles
      const there = aws.ready && profile !== undefined ? ` (or with the profile ${shown(profile)})` : ''
      return `A command that is started so has the session: ${own} aws s3 ls${there}`
    }
    case 'other':
      return (
        `A command started with "${own}" finds it in its environment as ` +
        `${room.variablesOf(ask.authorization_details).join(', ')}. Have the command read it there; do not print it.`
      )
  }
}

export function taskLines(task: TaskAnswer): string[] {
  return [
    `task ${task.task}, ${task.state}, until ${task.deadline} (agent ${task.agent}): ${task.purpose}`,
    ...task.asks.flatMap(askLines),
  ]
}

export function askLines({ ask, state, authorization_details, approval, how_to_use }: AskAnswer): string[] {
  const because = approval?.reason ? `, because: ${approval.reason}` : ''
  const humans = approval === undefined ? '' : ` (${approval.id}, ${approval.state}${because})`
  return [`- ${ask} ${state}${humans}: ${shown(JSON.stringify(authorization_details))}`, `  ${how_to_use}`]
}

export function describeLease(lease: Lease): CredentialAnswer {
  const isClosed = lease.state === 'closed'
  return {
    ...{ lease: lease.lease, issuer: lease.issuer, state: lease.state, ended_as: lease.closedAs },
    alive_until: isClosed ? null : (lease.providerExpiresAt ?? lease.expiresAt),
    revocability: lease.revocability,
  }
}

export function leaseLine({
  lease,
  issuer,
  state,
  ended_as,
  alive_until,
  revocability,
}: CredentialAnswer): string {
  if (ended_as !== null) return `- ${lease} (${shown(issuer)}): ${ended_as}`
  const until = alive_until === null ? '' : ` until ${shownTime(alive_until)} at the latest`
  const why = state === 'revoking' && revocability !== 'expiry_only' ? '; it is being revoked' : ''
  const alone = revocability === 'expiry_only' ? '; it cannot be revoked and stops by itself' : ''
  return `- ${lease} (${shown(issuer)}): alive${until}${why}${alone}`
}
