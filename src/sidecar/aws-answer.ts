/**
 * `GET /aws/{handle}`, as the container credential provider of the AWS SDKs reads it (AWS SDKs and Tools Reference
 * Guide, "Container credential provider"). The JavaScript SDK waits for one second, so what is held is answered
 * while a new one is minted, and a refusal comes instead of a wait for humans.
 */
import type { Credential } from '../client/credential.ts'
import type { World } from '../client/world.ts'
import { kindOf } from './ask-kind.ts'
import { awsPartsOf } from './aws-parts.ts'
import type { Keeper } from './keeper.ts'
import { SIDECAR_LIMITS } from './limits.ts'
import { Refusal } from './refusal.ts'

export type AwsSession = {
  AccessKeyId: string
  SecretAccessKey: string
  Token: string
  /** RFC 3339. */
  Expiration: string
  AccountId?: string
}

/** @throws Refusal, MayflyError */
export async function answerAws(
  world: Pick<World, 'schedule'>,
  keeper: Keeper,
  handle: string,
): Promise<AwsSession> {
  const found = keeper.byHandle(handle)
  if (kindOf(found.ask.authorizationDetails) !== 'aws') throw noSession()
  const taking = keeper.credential({ handle, task: found.held.task.id }).then(({ credential }) => credential)
  const credential = (await inTime(world, taking)) ?? found.held.secrets.held(found.ask)
  if (credential === undefined)
    throw new Refusal('broker_unreachable', 'the session is not there yet: ask again in a moment')
  return sessionOf(credential)
}

/** Undefined where it takes longer than an SDK waits; it goes on, and is there for the next call. */
async function inTime<T>(world: Pick<World, 'schedule'>, work: Promise<T>): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const cancel = world.schedule(SIDECAR_LIMITS.awsAnswerMs, () => resolve(undefined))
  // A failure after that is told to the next call, which meets it again.
  work.catch(() => {})
  return Promise.race([work, late]).finally(cancel)
}

/** @throws Refusal where the handle is not that of an AWS session */
export function sessionOf(credential: Credential): AwsSession {
  const parts = awsPartsOf(credential.reveal())
  if (parts === undefined) throw noSession()
  const { AccessKeyId, SecretAccessKey, SessionToken } = parts
  const { account } = credential.details
  return {
    ...{ AccessKeyId, SecretAccessKey, Token: SessionToken, Expiration: credential.expiresAt.toISOString() },
    ...(account !== undefined && { AccountId: String(account) }),
  }
}

function noSession(): Refusal {
  return new Refusal('request_invalid', 'that handle is not one of an AWS session')
}
