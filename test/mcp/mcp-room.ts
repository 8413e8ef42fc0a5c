/** A client of the official SDK and the server in one process, beside a broker; every message between them is kept. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import type { RequestOptions } from '@modelcontextprotocol/sdk/shared/protocol.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { namesOf } from '../../src/cli/child-environment.ts'
import { createMayfly } from '../../src/client/mayfly.ts'
import type { Setup } from '../../src/mcp/answer-shapes.ts'
import { createRefusals } from '../../src/mcp/refusals.ts'
import { createMcpServer } from '../../src/mcp/server.ts'
import { connectSidecar, type Sidecar } from '../../src/sidecar/call.ts'
import { said } from '../../src/sidecar/keeper.ts'
import { startSidecar } from '../../src/sidecar/sidecar.ts'
import type { Installation } from '../fakes/installation.ts'

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into member by member, and asserted.
export type Data = any
export type Told = { text: string; data: Data; isError: boolean; meta: Data }

export type McpRoom = {
  client: Client
  /** Over its socket, as git-credential and others ask. */
  local: Sidecar
  /** Every message of both directions, as text. */
  traffic: string[]
  log: string[]
  /** Every secret that the broker put into the server's hands: none of it may be in the traffic. */
  secrets: Set<string>
  call(tool: string, args?: Record<string, unknown>, options?: RequestOptions): Promise<Told>
  setup: Setup
  /** Who listens to what is said while a task is opened. */
  hears: Set<(text: string) => void>
  reports: unknown[]
  close(): Promise<void>
}

/** @param url of the broker */
export async function startMcpRoom(
  installation: Installation,
  url: string,
  { reveals = false }: { reveals?: boolean } = {},
): Promise<McpRoom> {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-mcp-'))
  const secrets = new Set<string>()
  const [traffic, log, reports]: [string[], string[], unknown[]] = [[], [], []]
  const world = {
    fetch: noting(secrets),
    now: installation.clock.now,
    random: (bytes: number) => randomBytes(bytes),
    schedule(ms: number, run: () => void, options?: { background?: boolean }) {
      const timer = setTimeout(run, ms)
      if (options?.background === true) timer.unref()
      return () => clearTimeout(timer)
    },
  }
  const mayfly = createMayfly({ ...world, url, evidence: () => installation.jobToken() })
  const sidecar = await startSidecar(world, {
    socket: { path: join(folder, 'mcp.sock'), claim: true },
    ...{ loopback: false, report: error => reports.push(error) },
    async open({ purpose, asks, heartbeat_seconds: _, ...more }) {
      const task = await mayfly.openTask({ purpose, asks: asks.map(one => ({ ...one })), ...said(more) })
      return { purpose, task }
    },
  })
  const room: McpRoom = {
    ...{
      traffic,
      log,
      reports,
      secrets,
      hears: new Set<(text: string) => void>(),
      client: new Client({ name: 'a-test', version: '1' }),
    },
    local: connectSidecar({ socket: sidecar.socket! }),
    setup: {
      ...{ socket: sidecar.socket!, run: 'mayfly mcp exec', notes: [] },
      git: { ready: false, says: 'not set up' },
      aws: { ready: false, profiles: [], says: 'not set up' },
    },
    async call(name, args = {}, options) {
      const result = (await room.client.callTool(
        { name, arguments: args },
        undefined,
        options,
      )) as CallToolResult
      const [content] = result.content
      const text = content?.type === 'text' ? content.text : ''
      return { text, data: result.structuredContent, isError: result.isError === true, meta: result._meta }
    },
    async close() {
      await room.client.close()
      await sidecar.close()
      for (const { task } of sidecar.keeper.active()) await task.cancel()
      await rm(folder, { recursive: true, force: true })
    },
  }
  const server = createMcpServer(
    {
      ...{ ...world, keeper: sidecar.keeper, refusals: createRefusals() },
      ...{ variablesOf: namesOf, setup: async () => room.setup },
      overhear(hear) {
        room.hears.add(hear)
        return () => room.hears.delete(hear)
      },
      tell: text => log.push(text),
      report: error => reports.push(error),
    },
    { version: '1', reveals },
  )
  const [ours, theirs] = InMemoryTransport.createLinkedPair()
  await server.connect(watched(theirs, traffic))
  await room.client.connect(watched(ours, traffic))
  return room
}

/** What one side sends is what the other receives: keeping what is sent on both is keeping all of it. */
function watched(transport: InMemoryTransport, traffic: string[]): Transport {
  const send = transport.send.bind(transport)
  transport.send = async (message, options) => {
    traffic.push(JSON.stringify(message))
    await send(message, options)
  }
  return transport
}

/** Of what the broker answers: a task's token, and every part of a credential. */
function noting(secrets: Set<string>): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, init)
    const told: unknown = await response
      .clone()
      .json()
      .catch(() => ({}))
    const { task_token, credential } = told as Record<string, unknown>
    const parts = typeof credential === 'object' ? Object.entries({ ...credential }) : [['', credential]]
    const secret = parts.filter(([name]) => name !== 'Expiration').map(([, value]) => value)
    for (const one of [task_token, ...secret]) if (typeof one === 'string') secrets.add(one)
    return response
  }
}
