/** open_task, ask, extend, end_task: the life of a task, as the model leads it. */
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import type { Ask } from '../client/asks.ts'
import { orAborted } from '../client/world.ts'
import { said } from '../sidecar/keeper.ts'
import { askedOutput, extendedOutput, openedOutput } from './answer-shapes.ts'
import { askShape, toAsk } from './ask-shape.ts'
import { askLines, describeAsk, describeTask, taskLines } from './describe.ts'
import { MCP_LIMITS } from './limits.ts'
import { withProgress } from './progress.ts'
import type { Room } from './room.ts'
import { shown, shownTime } from './shown.ts'
import { answered } from './tool-result.ts'
import { ADDS, addTool, type Extra, taskId } from './tools.ts'

/** One line: a model breaks lines as it likes, and the broker takes no control characters. */
const words = (most: number) =>
  z
    .string()
    .overwrite(text => text.replaceAll(/\s+/g, ' ').trim())
    .min(1)
    .max(most)

/** What is said beside an ask; the broker takes what the caller says of itself against it only. */
const beside = {
  justification: words(MCP_LIMITS.reasonChars)
    .optional()
    .describe('Why, for humans where they are asked. They see it as yours'),
  mints: z.int().min(1).max(100).optional().describe('How many credentials an approval is to be good for'),
  confidence: z.int().min(0).max(100).optional().describe('How sure you are of it, in percent'),
  urgency: z.enum(['low', 'normal', 'high']).optional(),
}

export function addTaskTools(server: McpServer, room: Room): void {
  addOpen(server, room)
  addAsk(server, room)
  addExtend(server, room)
}

function addOpen(server: McpServer, room: Room): void {
  addTool(server, room, 'open_task', {
    title: 'Open a task',
    description:
      'Opens a task: one bounded piece of work, and the credentials that it needs (GitHub repositories, an AWS role, ' +
      'a token for a service). Ask for the least that the work needs, and for nothing that it may need later: ask ' +
      'adds to it. The credentials themselves are never in the answer; it says how commands use them. ' +
      'End it with end_task as soon as the work is done.',
    input: z.strictObject({
      purpose: words(MCP_LIMITS.purposeChars).describe(
        'What for, in one sentence for people: it stands in the audit log. Name the issue or pull request',
      ),
      asks: z.array(askShape).min(1).max(MCP_LIMITS.asks),
      minutes: z.int().min(1).max(MCP_LIMITS.minutes).optional().describe('How long the work may take'),
      ...beside,
    }),
    output: openedOutput,
    annotations: ADDS,
    wanted: ({ asks }) => inWords(asks.map(toAsk)),
    async run({ asks, ...wanted }, extra) {
      const body = { ...said(wanted), asks: asks.map(toAsk).map(one => ({ ...one })) }
      // Somebody may have to sign in first.
      const opened = await withProgress(room, extra, { message: 'the task is being opened' }, async say => {
        const stop = room.overhear(text => say(shown(text, MCP_LIMITS.saidChars)))
        return room.keeper.open(body).finally(stop)
      })
      if (extra.signal.aborted) {
        await endUnwanted(room, opened.id)
        extra.signal.throwIfAborted()
      }
      const task = await describeTask(room, opened)
      return answered([...taskLines(task), 'End it with end_task when the work is done.'], task)
    },
  })
}

/** Nobody was told of it, so nobody would end it. */
async function endUnwanted({ keeper, tell }: Room, id: string): Promise<void> {
  tell(`task ${id} was called off while it was opened, and is being ended`)
  try {
    await keeper.complete(id, { outcome: 'cancelled', detail: 'called off while it was opened' })
  } catch {
    tell(`task ${id} could not be ended now; it lapses or reaches its deadline`)
  }
}

function addAsk(server: McpServer, room: Room): void {
  addTool(server, room, 'ask', {
    title: 'Ask for more in a task',
    description:
      'Asks for one thing more in a task that is open. It is judged anew, with what the task already holds. ' +
      'For other work open another task instead.',
    input: z.strictObject({ task: taskId, ask: askShape, ...beside }),
    output: askedOutput,
    annotations: ADDS,
    wanted: ({ ask }) => inWords([toAsk(ask)]),
    async run({ task, ask, ...wish }, { signal }) {
      const asking = room.keeper.ask(task, { authorization_details: { ...toAsk(ask) }, ...said(wish) })
      const answer = await describeAsk(room, await orAborted(asking, signal))
      return answered(askLines(answer), { task, ...answer })
    },
  })
}

function addExtend(server: McpServer, room: Room): void {
  addTool(server, room, 'extend', {
    title: 'Move the deadline of a task',
    description:
      'Moves the deadline to so many minutes from now, for a reason that stands in the audit log. It is judged ' +
      'like an opening, and may be refused.',
    input: z.strictObject({
      task: taskId,
      minutes: z.int().min(1).max(MCP_LIMITS.minutes),
      reason: words(MCP_LIMITS.reasonChars),
    }),
    output: extendedOutput,
    annotations: ADDS,
    wanted: ({ task, minutes }) => `${minutes} minutes more for ${shown(task)}`,
    async run({ task, minutes, reason }, { signal }: Extra) {
      const deadline = shownTime(await room.keeper.find(task).task.extend({ minutes, reason, signal }))
      return answered([`task ${task} may go on until ${deadline}`], { task, deadline })
    },
  })
}

function inWords(asks: readonly Ask[]): string {
  return shown(asks.map(one => JSON.stringify(one)).join(' and '))
}
