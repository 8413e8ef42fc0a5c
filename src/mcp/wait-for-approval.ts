/** wait_for_approval: until humans have answered, for a bounded time that the client is told of. */
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import { MayflyError } from '../client/mayfly-error.ts'
import type { Task } from '../client/task.ts'
import { render } from '../sidecar/keeper.ts'
import { Refusal } from '../sidecar/refusal.ts'
import { type AskAnswer, waitedOutput } from './answer-shapes.ts'
import { askLines, describeTask } from './describe.ts'
import { MCP_LIMITS } from './limits.ts'
import { withProgress } from './progress.ts'
import type { Room } from './room.ts'
import { shown } from './shown.ts'
import { answered } from './tool-result.ts'
import { addTool, taskId } from './tools.ts'

export function addWaitForApproval(server: McpServer, room: Room): void {
  addTool(server, room, 'wait_for_approval', {
    title: 'Wait for humans',
    description:
      `Waits until humans have answered for what is pending in a task, ${MCP_LIMITS.waitSeconds} seconds unless ` +
      'told. answered: false means that they have not yet: go on with other work, and call it again. It cannot ' +
      'hurry anybody.',
    input: z.strictObject({
      task: taskId,
      ask: z.string().min(1).max(MCP_LIMITS.idChars).optional().describe('One ask of it; all unless told'),
      seconds: z
        .int()
        .min(0)
        .max(MCP_LIMITS.longestWaitSeconds)
        .default(MCP_LIMITS.waitSeconds)
        .describe('Many clients give up on a call after 60'),
    }),
    output: waitedOutput,
    annotations: { readOnlyHint: true, idempotentHint: true, openWorldHint: true },
    wanted: ({ task }) => `the approval that ${shown(task)} waits for`,
    async run({ task: id, ask, seconds }, extra) {
      const held = room.keeper.find(id)
      const wanted = ask === undefined ? undefined : held.task.asks.find(one => one.id === ask)
      if (ask !== undefined && wanted === undefined)
        throw new Refusal('not_found', 'the task has no such ask')
      const began = room.now()
      const options = { timeoutMs: seconds * 1_000, signal: extra.signal }
      await withProgress(room, extra, { message: 'humans are asked', totalSeconds: seconds }, () =>
        untilTold(held.task.waitForApproval({ ...options, ...(wanted && { ask: wanted }) })),
      )
      const task = await describeTask(room, render(held))
      const asks = task.asks.filter(one => ask === undefined || one.ask === ask)
      const isAnswered = asks.every(({ state }) => state !== 'pending')
      for (const one of asks) if (!['granted', 'pending'].includes(one.state)) noteOver(room, one)
      return answered(
        [
          isAnswered ? 'humans have answered' : 'humans have not answered yet: call it again, later',
          ...asks.flatMap(askLines),
        ],
        {
          ...{ task: id, answered: isAnswered, asks },
          waited_seconds: Math.round((room.now() - began) / 1_000),
        },
      )
    },
  })
}

/** How it stands is told by the states of the asks. */
async function untilTold(waiting: ReturnType<Task['waitForApproval']>): Promise<void> {
  try {
    await waiting
  } catch (error) {
    if (!(error instanceof MayflyError) || !['approval_pending', 'approval_over'].includes(error.code))
      throw error
  }
}

function noteOver({ refusals }: Room, { ask, state, approval, authorization_details }: AskAnswer): void {
  const because = approval?.reason ? `, because: ${approval.reason}` : ''
  refusals.note({
    ...{ title: 'Not approved', detail: `the ask ${ask} is ${state}${because}`, code: 'approval_over' },
    ...{ retry: false, wanted: shown(JSON.stringify(authorization_details)) },
  })
}
