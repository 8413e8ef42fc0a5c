/**
 * The local credential server: tasks that this process holds, offered to other processes of the same user as
 * handles. docs/sidecar.md is the guide.
 */
import { Secret } from '../../issuers/shared/secret.ts'
import type { World } from '../client/world.ts'
import { answer } from './answer.ts'
import type { Opened } from './choose-ask.ts'
import { claimSocket } from './claim-socket.ts'
import { createKeeper, type Keeper } from './keeper.ts'
import { type Answerer, type Listening, listenOnLoopback, listenOnSocket, type Tokens } from './listen.ts'
import type { OpenBody } from './protocol.ts'
import { SIDECAR_VARIABLES } from './variables.ts'

export type SidecarWorld = World & { random(bytes: number): Uint8Array }

export type SidecarOptions = {
  /** `claim`: it is at a path that others know, and may be in use. */
  socket?: { path: string; claim: boolean }
  /** On 127.0.0.1 with a token: for AWS SDKs, and where there is no socket. */
  loopback: boolean
  open?: (body: OpenBody) => Promise<Opened>
  /** Told of what nobody expected. */
  report(error: unknown): void
}

export type RunningSidecar = {
  keeper: Keeper
  /** Where the socket is; undefined where there is none. */
  socket: string | undefined
  loopback: { url: string; tokens: Tokens } | undefined
  /** What a child needs to find it. */
  variables(): Record<string, string>
  /** Nobody is answered any more; the tasks are ended by whoever opened them. */
  close(): Promise<void>
}

/** @throws SocketUnusable, NodeJS.ErrnoException */
export async function startSidecar(world: SidecarWorld, options: SidecarOptions): Promise<RunningSidecar> {
  const keeper = createKeeper(world, options.open === undefined ? {} : { open: options.open })
  let loopback: RunningSidecar['loopback']
  const aws = () => loopback && { url: `${loopback.url}/aws/`, token: loopback.tokens.aws }
  const answerer: Answerer = request => answer(world, keeper, request, { aws, report: options.report })
  const listeners: Listening[] = []
  async function close(): Promise<void> {
    keeper.close()
    await Promise.all(listeners.splice(0).map(one => one.close()))
  }
  try {
    const { socket } = options
    if (socket !== undefined)
      listeners.push(await (socket.claim ? claimSocket : listenOnSocket)(answerer, socket.path))
    loopback = options.loopback ? await withTokens(world, answerer, listeners) : undefined
    return {
      ...{ keeper, socket: socket?.path, loopback, close },
      variables: () => variablesFor(socket?.path, loopback),
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function withTokens(world: SidecarWorld, answerer: Answerer, listeners: Listening[]) {
  const token = () => new Secret(Buffer.from(world.random(32)).toString('base64url'))
  const tokens = { local: token(), aws: token() }
  const listening = await listenOnLoopback(answerer, tokens)
  listeners.push(listening)
  return { url: listening.url, tokens }
}

function variablesFor(
  socket: string | undefined,
  loopback: RunningSidecar['loopback'],
): Record<string, string> {
  if (socket !== undefined) return { [SIDECAR_VARIABLES.socket]: socket }
  if (loopback === undefined) return {}
  const { url, tokens } = loopback
  return { [SIDECAR_VARIABLES.url]: url, [SIDECAR_VARIABLES.token]: tokens.local.reveal() }
}
