/** status and why_not: what is held, whether commands find it, and what can be done about a refusal. */
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import { isUnavailable } from '../client/mayfly-error.ts'
import type { Held } from '../sidecar/choose-ask.ts'
import { render } from '../sidecar/keeper.ts'
import { type Setup, statusOutput, whyNotOutput } from './answer-shapes.ts'
import { describeLease, describeTask, leaseLine, taskLines } from './describe.ts'
import { MCP_LIMITS } from './limits.ts'
import { forTheOwner, whatToDo } from './refusals.ts'
import type { Room } from './room.ts'
import { shown } from './shown.ts'
import { answered, retryWords } from './tool-result.ts'
import { addTool, LOOKS, taskId } from './tools.ts'

export function addStatus(server: McpServer, room: Room): void {
  addTool(server, room, 'status', {
    title: 'What is held',
    description:
      'The tasks that are held here, their asks, deadlines and credentials that are alive; and whether git and AWS ' +
      'find them, with what is missing for that.',
    input: z.strictObject({ task: taskId.optional() }),
    output: statusOutput,
    annotations: LOOKS,
    wanted: () => '',
    async run({ task }, { signal }) {
      const ids = task === undefined ? room.keeper.list().map(({ id }) => id) : [task]
      const looked = await Promise.all(ids.map(id => look(room, room.keeper.find(id), signal)))
      const setup = await room.setup()
      const tasks = looked.map(one => one.answer)
      const broker = looked.some(one => one.isGone)
        ? 'does_not_answer'
        : looked.some(one => one.answer.as_of === 'now')
          ? 'answers'
          : 'not_asked'
      const gone = 'the broker does not answer: what follows is as last heard, and what is held is still good'
      const lines = [
        ...(broker === 'does_not_answer' ? [gone] : []),
        ...(tasks.length === 0 ? ['no task is open: open_task'] : []),
        ...tasks.flatMap(one => [...taskLines(one), ...one.outstanding.map(leaseLine)]),
        ...setupLines(setup),
      ]
      return answered(lines, { broker, tasks, setup })
    },
  })
}

/** A broker that is gone is told, and is no reason to say nothing. */
async function look(room: Room, held: Held, signal: AbortSignal) {
  const read = await held.task.read({ signal }).then(
    status => ({ status }),
    (error: unknown) => ({ error }),
  )
  const isGone = 'error' in read && isUnavailable(read.error)
  const leases = 'status' in read ? read.status.credentials : []
  const answer = {
    ...(await describeTask(room, render(held))),
    as_of: 'status' in read ? ('now' as const) : ('last_heard' as const),
    outstanding: leases.filter(({ state }) => state !== 'closed').map(describeLease),
  }
  return { answer, isGone }
}

function setupLines({ socket, run, git, aws, notes }: Setup): string[] {
  return [
    `git: ${git.says}`,
    `AWS: ${aws.says}`,
    `any other command: ${run} -- COMMAND (the socket is ${socket})`,
    ...notes,
  ]
}

export function addWhyNot(server: McpServer, room: Room): void {
  addTool(server, room, 'why_not', {
    title: 'Why something was refused',
    description:
      'What may be told of a refusal: its code, what you can do, and what to have the user ask the owner of the ' +
      'agent. The reason in full is for owners alone.',
    input: z.strictObject({
      decision: z
        .string()
        .min(1)
        .max(MCP_LIMITS.idChars)
        .optional()
        .describe('Its id, dec_...; the last refusal unless told'),
    }),
    output: whyNotOutput,
    annotations: LOOKS,
    wanted: () => '',
    async run({ decision }) {
      const told = room.refusals.find(decision)
      if (told === undefined) return unknown(decision)
      const { code, title, detail, retry } = told
      const answer = {
        ...{ known: true, decision: told.decision ?? null, code, said: `${title}: ${detail}`, retry },
        what_to_do: whatToDo(code),
        for_the_owner: forTheOwner(told),
      }
      const lines = [
        `${answer.said} (${code})`,
        `retry: ${retryWords(told)}`,
        answer.what_to_do,
        answer.for_the_owner,
      ]
      return answered(lines, answer)
    },
  })
}

function unknown(decision: string | undefined) {
  const named = decision === undefined ? undefined : shown(decision)
  const answer = {
    ...{ known: false, decision: named ?? null, code: null, said: null, retry: false },
    what_to_do:
      named === undefined
        ? 'Nothing was refused here.'
        : 'No refusal that was told here has this decision. Only its owner can look it up.',
    for_the_owner: named === undefined ? '' : `They see it with: mayfly explain ${named}`,
  }
  return answered([answer.what_to_do, answer.for_the_owner].filter(Boolean), answer)
}
