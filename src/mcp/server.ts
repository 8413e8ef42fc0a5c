/**
 * The MCP server for coding agents (Model Context Protocol, revision 2025-06-18): tools that open tasks, ask, wait
 * and end. What a task was granted reaches commands through the local credential server, never through an answer.
 * docs/mcp.md is the guide.
 */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { addEndTask } from './end-task.ts'
import { MCP_LIMITS } from './limits.ts'
import { addStatus, addWhyNot } from './looking-tools.ts'
import { addRevealCredential } from './reveal-credential.ts'
import type { Room } from './room.ts'
import { addTaskTools } from './task-tools.ts'
import { addWaitForApproval } from './wait-for-approval.ts'

export type McpOptions = {
  version: string
  /** Adds the tool that answers with secrets. */
  reveals: boolean
}

export function createMcpServer(room: Room, { version, reveals }: McpOptions): McpServer {
  const server = new McpServer(
    { name: 'mayfly', title: 'Mayfly: credentials for one task', version },
    { instructions: INSTRUCTIONS, maxToolInputElements: MCP_LIMITS.argumentElements },
  )
  addTaskTools(server, room)
  addWhyNot(server, room)
  addWaitForApproval(server, room)
  addStatus(server, room)
  addEndTask(server, room)
  if (reveals) addRevealCredential(server, room)
  return server
}

const INSTRUCTIONS = `Credentials here belong to a task: one bounded piece of work with a purpose.
Before work that needs a repository, AWS or a protected service: open_task with the least that it needs. The answer
says how commands use what was granted; no credential is ever shown, and none is needed in a file, an argument or a
remote's address. Something more: ask. Pending: humans are asked; wait_for_approval, or go on with other work.
Refused: why_not, and tell the user; do not look for another credential on the machine. Done, given up or failed:
end_task, at once.`
