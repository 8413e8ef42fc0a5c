/** end_task: the end of a task, and what became of everything that it held. */
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import type { TaskStatus } from '../client/answers.ts'
import type { Task } from '../client/task.ts'
import { sleep } from '../client/world.ts'
import { endedOutput } from './answer-shapes.ts'
import { describeLease, leaseLine } from './describe.ts'
import { MCP_LIMITS } from './limits.ts'
import type { Room } from './room.ts'
import { shown } from './shown.ts'
import { answered } from './tool-result.ts'
import { addTool, taskId } from './tools.ts'

export function addEndTask(server: McpServer, room: Room): void {
  addTool(server, room, 'end_task', {
    title: 'End a task',
    description:
      'Ends a task and revokes everything that it was given, at once and for good. Call it as soon as the work is ' +
      'done, given up or gone wrong; commands that still run lose their access.',
    input: z.strictObject({
      task: taskId,
      outcome: z.enum(['completed', 'failed', 'cancelled']),
      detail: z.string().trim().min(1).max(MCP_LIMITS.detailChars).optional().describe('For the audit log'),
    }),
    output: endedOutput,
    // The first end stands: a second call is told of it.
    annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
    wanted: ({ task }) => `the end of ${shown(task)}`,
    async run({ task: id, ...end }, { signal }) {
      const { task } = room.keeper.find(id)
      const last = await untilQuiet(room, task, await room.keeper.complete(id, end), signal)
      const credentials = last.credentials.map(describeLease)
      const all_closed = credentials.every(({ state }) => state === 'closed')
      const head = `task ${id} has ended (${last.end ?? last.state}); ${
        credentials.length === 0
          ? 'it held no credential'
          : all_closed
            ? 'everything is dead'
            : 'what it held:'
      }`
      return answered([head, ...credentials.map(leaseLine)], {
        ...{ task: id, end: last.end, all_closed, credentials },
      })
    },
  })
}

/** Until nothing is alive but what stops by itself, or for a bounded time; the end itself stands in any case. */
async function untilQuiet(
  room: Room,
  task: Task,
  ended: TaskStatus,
  signal: AbortSignal,
): Promise<TaskStatus> {
  const until = room.now() + MCP_LIMITS.settleMs
  let last = ended
  while (isBusy(last) && room.now() < until && !signal.aborted) {
    await sleep(room, MCP_LIMITS.settlePollMs)
    try {
      last = await task.read({ signal })
    } catch {
      // What is known by now is told; the broker goes on revoking.
      return last
    }
  }
  return last
}

function isBusy({ credentials }: TaskStatus): boolean {
  return credentials.some(one => one.state !== 'closed' && one.revocability !== 'expiry_only')
}
