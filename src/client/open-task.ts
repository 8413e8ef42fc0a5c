import { Secret } from '../../issuers/shared/secret.ts'
import { type Opened, readOpened, readTask } from './answers.ts'
import type { Ask } from './asks.ts'
import { type EvidenceSource, jwtFrom, type Presented } from './evidence.ts'
import { MayflyError } from './mayfly-error.ts'
import type { PostureSource } from './posture.ts'
import { completeCall, type OpenOptions, openCall, readCall } from './task-calls.ts'
import { demandSameAsks } from './task-record.ts'
import { request } from './transport.ts'
import { orAborted, type World } from './world.ts'

export type Broker = { world: World; url: string; evidence: EvidenceSource; posture?: PostureSource }

/** `aheadMs`: how far the broker's clock is ahead of this one, and what the answer took: never less than that. */
export type OpenedTask = Omit<Opened, 'decision'> & { decision: string | null; aheadMs: number }

/**
 * Evidence in, a task out. Where the signal comes before the answer, whatever the answer opens is ended.
 *
 * @throws MayflyError; the signal's reason
 */
export async function openTask(
  { world, url, evidence, posture }: Broker,
  asks: readonly Ask[],
  options: OpenOptions & { signal?: AbortSignal },
): Promise<OpenedTask> {
  const { signal } = options
  signal?.throwIfAborted()
  if (new Set(asks).size !== asks.length)
    throw new MayflyError('one object stands twice among the asks: make one for each', {
      code: 'ask_unknown',
    })
  const presented = await evidenceFrom({ world, url, evidence }, signal)
  const statements = posture === undefined ? [] : await orAborted(Promise.resolve().then(posture), signal)
  let sentAt = world.now()
  const call = {
    ...openCall(presented, asks, options, statements),
    ...(signal && { unwanted: signal }),
    onSend: () => {
      sentAt = world.now()
    },
  }
  const opening = request(world, url, call).then(readOpened)
  try {
    const opened = await orAborted(opening, signal)
    demandSameAsks(opened, asks)
    return { ...opened, aheadMs: opened.task.openedAt.getTime() - sentAt }
  } catch (error) {
    void endUnwanted({ world, url }, opening)
    throw error
  }
}

/** A task that was opened elsewhere, by its id and token. The broker's clock is taken to be this one. */
export async function resumeTask(
  { world, url }: Pick<Broker, 'world' | 'url'>,
  { id, token, signal }: { id: string; token: Secret | string; signal?: AbortSignal },
): Promise<OpenedTask> {
  const key = { id, token: typeof token === 'string' ? new Secret(token) : token }
  const task = readTask(await request(world, url, { ...readCall(key), ...(signal && { signal }) }))
  return { task, token: key.token, decision: null, aheadMs: 0 }
}

async function evidenceFrom(
  { world, url, evidence }: Broker,
  signal: AbortSignal | undefined,
): Promise<Presented> {
  const ask = async () => evidence({ ...world, broker: url, ...(signal && { signal }) })
  const given = await orAborted(ask(), signal)
  return typeof given === 'string' ? jwtFrom(given, 'what the evidence source gave') : given
}

/** A task that nobody waits for any longer; one that cannot be ended now lapses or reaches its deadline. */
async function endUnwanted({ world, url }: Pick<Broker, 'world' | 'url'>, opening: Promise<Opened>) {
  try {
    const { task, token } = await opening
    await request(
      world,
      url,
      completeCall({ id: task.id, token }, 'cancelled', 'given up while it was opened'),
    )
  } catch {
    // Nothing was opened, or nobody can be told.
  }
}
