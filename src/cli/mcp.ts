/**
 * `mayfly mcp`: tasks of a coding agent, by the Model Context Protocol over standard input and output. What a task
 * is granted reaches the agent's commands through a local server at a socket that is known beforehand, because an
 * MCP server cannot set the environment of the program that started it.
 */
import { join, resolve } from 'node:path'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { MCP_LIMITS } from '../mcp/limits.ts'
import { createRefusals } from '../mcp/refusals.ts'
import { createMcpServer } from '../mcp/server.ts'
import { connectSidecar, SidecarError } from '../sidecar/call.ts'
import type { Opened } from '../sidecar/choose-ask.ts'
import { SocketUnusable } from '../sidecar/claim-socket.ts'
import type { OpenBody } from '../sidecar/protocol.ts'
import { Refusal } from '../sidecar/refusal.ts'
import { startSidecar } from '../sidecar/sidecar.ts'
import { type BrokerOption, brokerUrl, given } from './broker-url.ts'
import { namesOf } from './child-environment.ts'
import type { EvidenceOption } from './evidence.ts'
import { CLI_LIMITS } from './limits.ts'
import { connectOpener } from './live-task.ts'
import { endAll, openFor, type SocketOption } from './local-agent.ts'
import { lookAtSetup } from './mcp-setup.ts'
import { note } from './print.ts'
import { checkSignIn, type Opener, type SignInOption } from './sign-in-work.ts'
import { CommandError, type Terminal, usageError } from './terminal.ts'

export type McpOptions = BrokerOption &
  EvidenceOption &
  SignInOption &
  SocketOption & {
    agent?: string
    onBehalfOfFile?: string
    heartbeatSeconds?: number
    boundKey?: boolean
    revealSecrets?: boolean
  }

const ENDS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Runs until its client is gone or it is told to end, and ends every task that it holds then. */
export async function mcp(terminal: Terminal, version: string, options: McpOptions): Promise<void> {
  // 1. What can be refused without taking the socket.
  const url = brokerUrl(terminal, options)
  if (options.evidenceFile === '-' || options.onBehalfOfFile === '-')
    throw usageError('standard input is the MCP client: name a file that is kept fresh')
  checkSignIn(options)
  const usual = mcpSocket(terminal, options)

  // 2. The end, whatever brings it, from here on.
  const ending = Promise.withResolvers<void>()
  const ended = new AbortController()
  const releases = ENDS.map(signal => terminal.onSignal(signal, ending.resolve))
  const { input, output } = terminal.streams()
  for (const event of ['end', 'close', 'error']) input.once(event, () => ending.resolve())

  // 3. The socket, or where another server has it, one that nobody else knows.
  const heard = overheard(terminal)
  const mayfly = await connectOpener(heard.terminal, url, options, ended.signal)
  const opening = openWhileOpen(terminal, mayfly, options, ended.signal)
  const place = await claimPlace(terminal, usual)
  const report = (error: unknown) =>
    note(terminal, `a fault (${error instanceof Error ? error.name : 'of no name'})`)
  const sidecar = await startSidecar(terminal, {
    ...place,
    loopback: false,
    open: opening.open,
    report,
  }).catch(async (error: unknown) => {
    if (place.folder !== undefined) await terminal.removeFolder(place.folder)
    throw error instanceof SocketUnusable ? new CommandError(error.message, { cause: error }) : error
  })
  const server = createMcpServer(
    {
      ...{ keeper: sidecar.keeper, refusals: createRefusals(), report },
      ...{ now: terminal.now, schedule: terminal.schedule, variablesOf: namesOf },
      overhear: heard.overhear,
      tell: text => note(terminal, text),
      setup: provider => lookAtSetup(terminal, { socket: place.socket.path, usual, provider }),
    },
    { version, reveals: options.revealSecrets === true },
  )
  try {
    // 4. The protocol, for as long as somebody speaks it.
    server.server.onclose = ending.resolve
    server.server.onerror = error => note(terminal, `a message was not understood (${error.name})`)
    note(terminal, `tasks are held at ${place.socket.path}`)
    await server.connect(new StdioServerTransport(input, output, { maxBufferSize: MCP_LIMITS.messageBytes }))
    await ending.promise
  } finally {
    // 5. Nobody is answered any more, and everything ends.
    ended.abort()
    // Whatever becomes of the connections, the tasks end.
    const closed = await Promise.allSettled([server.close(), sidecar.close()])
    if (closed.some(({ status }) => status === 'rejected')) note(terminal, 'a connection could not be closed')
    await opening.settled()
    await endAll(
      terminal,
      sidecar.keeper.active().map(({ task }) => task),
      DETAIL,
    )
    if (place.folder !== undefined) await terminal.removeFolder(place.folder)
    for (const release of releases) release()
    input.destroy()
  }
}

const DETAIL = 'mayfly mcp ended'

/**
 * `--socket`, or one that does not depend on the environment: clients start their servers with little of it, and
 * the commands that look for the socket have more. @throws CommandError (usage)
 */
export function mcpSocket({ env }: Pick<Terminal, 'env'>, { socket }: SocketOption): string {
  if (socket !== undefined) return resolve(socket)
  const user = given(env.HOME)
  if (user === undefined) throw usageError('HOME is not set: name the socket with --socket')
  return join(user, '.local', 'state', 'mayfly', 'mcp.sock')
}

type Place = { socket: { path: string; claim: boolean }; folder: string | undefined }

/** A second window of the same client must not be left without tools, nor mixed up with the first. */
async function claimPlace(terminal: Terminal, usual: string): Promise<Place> {
  if (!(await isServed(usual))) return { socket: { path: usual, claim: true }, folder: undefined }
  const folder = await terminal.makeFolder()
  const path = join(folder, 'mcp.sock')
  note(terminal, `another server answers at ${usual}; this one holds its tasks at ${path}`)
  return { socket: { path, claim: false }, folder }
}

async function isServed(socket: string): Promise<boolean> {
  try {
    await connectSidecar({ socket }).tasks({ signal: AbortSignal.timeout(CLI_LIMITS.socketLookMs) })
    return true
  } catch (error) {
    // One that answers otherwise is somebody's all the same; taking the socket says so.
    return !(error instanceof SidecarError) || error.code !== 'sidecar_unreachable'
  }
}

/**
 * Who signs in for a task sees no standard error of a server that a client started, so that what is said there is
 * told to the client, too. A browser that was started here would have the protocol for its standard streams.
 */
function overheard(terminal: Terminal) {
  const hearers = new Set<(text: string) => void>()
  const err: Terminal['err'] = text => {
    terminal.err(text)
    for (const hear of hearers) hear(text)
  }
  return {
    terminal: { ...terminal, err, hasTerminal: false },
    overhear(hear: (text: string) => void): () => void {
      hearers.add(hear)
      return () => hearers.delete(hear)
    },
  }
}

/** What is being opened when the end comes is ended as soon as it is open. */
function openWhileOpen(terminal: Terminal, mayfly: Opener, options: McpOptions, ended: AbortSignal) {
  const underWay = new Set<Promise<Opened>>()
  async function openOne(body: OpenBody): Promise<Opened> {
    if (ended.aborted) throw new Refusal('task_not_active', 'the server is ending')
    const opened = await openFor(terminal, mayfly, body, options)
    if (!ended.aborted) return opened
    await endAll(terminal, [opened.task], DETAIL)
    throw new Refusal('task_not_active', 'the server ended while the task was opened')
  }
  return {
    async open(body: OpenBody): Promise<Opened> {
      const one = openOne(body)
      underWay.add(one)
      try {
        return await one
      } finally {
        underWay.delete(one)
      }
    },
    settled: () => Promise.allSettled(underWay),
  }
}
