/** How a tool is added: what fails is a tool's error and never a stack, and is remembered for why_not. */
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import type {
  CallToolResult,
  ServerNotification,
  ServerRequest,
  ToolAnnotations,
} from '@modelcontextprotocol/sdk/types.js'
import { z } from 'zod'
import { MCP_LIMITS } from './limits.ts'
import type { Room } from './room.ts'
import { refused } from './tool-result.ts'

export type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>

export type Tool<Input extends z.ZodObject> = {
  title: string
  description: string
  input: Input
  output: z.ZodObject
  annotations: ToolAnnotations
  /** In words for whoever answers for the agent. */
  wanted(args: z.infer<Input>): string
  run(args: z.infer<Input>, extra: Extra): Promise<CallToolResult>
}

export function addTool<Input extends z.ZodObject>(
  server: McpServer,
  room: Room,
  name: string,
  { title, description, input, output, annotations, wanted, run }: Tool<Input>,
): void {
  const config = { title, description, inputSchema: input, outputSchema: output, annotations }
  const handle = async (args: z.infer<Input>, extra: Extra): Promise<CallToolResult> => {
    try {
      return await run(args, extra)
    } catch (error) {
      // Nobody waits for the answer to a call that was called off.
      if (extra.signal.aborted) return { content: [], isError: true }
      return refused(error, wanted(args), room)
    }
  }
  // The SDK derives the same arguments from the schema, by types of its own.
  server.registerTool<z.ZodObject, z.ZodObject>(name, config, (args, extra) =>
    handle(args as z.infer<Input>, extra),
  )
}

export const taskId = z.string().min(1).max(MCP_LIMITS.idChars).describe('Its id, tsk_...')

/** Looks, and changes nothing. */
export const LOOKS: ToolAnnotations = { readOnlyHint: true, idempotentHint: true, openWorldHint: false }
/** Adds to what is held, and takes nothing away. */
export const ADDS: ToolAnnotations = {
  ...{ readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
}
