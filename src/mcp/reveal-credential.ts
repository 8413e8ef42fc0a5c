/** reveal_credential: the one tool that answers with a secret, there only where it was switched on. */
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import { revealedOutput } from './answer-shapes.ts'
import { MCP_LIMITS } from './limits.ts'
import type { Room } from './room.ts'
import { shown, shownTime } from './shown.ts'
import { answered } from './tool-result.ts'
import { addTool, taskId } from './tools.ts'

export function addRevealCredential(server: McpServer, room: Room): void {
  addTool(server, room, 'reveal_credential', {
    title: 'Reveal a credential',
    description:
      'Answers with the secret itself. It is then in this conversation: in its transcript, at the provider of the ' +
      'model, and wherever either is kept, as long as the credential lives. Commands do not need it (how_to_use of ' +
      'each ask); call it only where the user has asked for the secret itself, and end the task soon after.',
    input: z.strictObject({ task: taskId, ask: z.string().min(1).max(MCP_LIMITS.idChars) }),
    output: revealedOutput,
    // What was told cannot be taken back: a client that asks its user before such calls should ask before this one.
    annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
    wanted: ({ ask }) => `the credential of ${shown(ask)}`,
    async run({ task, ask }) {
      const { credential } = await room.keeper.credential({ task, handle: ask })
      room.tell(`the credential of ${ask} was revealed to the model (lease ${credential.lease})`)
      const value = credential.reveal()
      const expires_at = shownTime(credential.expiresAt)
      const text = typeof value === 'string' ? value : JSON.stringify(value)
      return answered([text, `good until ${expires_at}; it is now in this conversation`], {
        ...{ task, ask, expires_at },
        secret: typeof value === 'string' ? value : { ...value },
      })
    },
  })
}
