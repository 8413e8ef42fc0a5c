/** Results of tools: words for the model, the same as data, and errors that say what to do. */
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { MayflyError } from '../client/mayfly-error.ts'
import { problemOf } from '../sidecar/refusal.ts'
import { forTheOwner, type Refusals, type Told, whatToDo } from './refusals.ts'
import { shown } from './shown.ts'

export function answered(lines: readonly string[], data: Record<string, unknown>): CallToolResult {
  return { content: [{ type: 'text', text: lines.join('\n') }], structuredContent: data }
}

/** Where an error's facts are beside its words: an error has no `structuredContent`, which would be another shape. */
const ERROR_META = 'mayfly/error'

/**
 * A refusal, an outage or a fault as a tool's error: what the broker tells a workload and no more. It is noted,
 * so that `why_not` knows it.
 *
 * @param report told of what nobody expected
 */
export function refused(
  error: unknown,
  wanted: string,
  { refusals, report }: { refusals: Refusals; report(error: unknown): void },
): CallToolResult {
  const problem = problemOf(error)
  if (problem.code === 'local_failure') report(error)
  const told: Told = {
    ...{ title: shown(problem.title), detail: shown(problem.detail), code: shown(problem.code), wanted },
    ...(problem.decision !== undefined && { decision: shown(problem.decision) }),
    ...(problem.retry_after_ms !== undefined && { retry_after_ms: problem.retry_after_ms }),
    retry: error instanceof MayflyError ? error.retryable : RETRY.has(problem.code),
  }
  refusals.note(told)
  const { title, detail, code, decision, retry, retry_after_ms } = told
  const approvals = problem.approvals?.map(one => shown(one)) ?? []
  return {
    isError: true,
    content: [
      {
        type: 'text',
        text: [
          `${title}: ${detail}`,
          `code: ${code}`,
          ...(decision === undefined ? [] : [`decision: ${decision}`]),
          ...(approvals.length === 0 ? [] : [`approvals: ${approvals.join(', ')}`]),
          `retry: ${retryWords(told)}`,
          whatToDo(code),
          ...(decision === undefined || retry ? [] : [forTheOwner(told)]),
        ].join('\n'),
      },
    ],
    _meta: {
      [ERROR_META]: {
        ...{ code, retry },
        ...(decision !== undefined && { decision }),
        ...(retry_after_ms !== undefined && { retry_after_ms }),
      },
    },
  }
}

export function retryWords({ retry, retry_after_ms }: Pick<Told, 'retry' | 'retry_after_ms'>): string {
  if (retry_after_ms !== undefined) return `after ${Math.ceil(retry_after_ms / 1_000)} seconds`
  return retry ? 'later' : 'no'
}

/** Of the local server's own refusals, those that may come to something else. */
const RETRY: ReadonlySet<string> = new Set([
  ...['approval_pending', 'broker_unreachable', 'evidence_unavailable', 'rejected_too_often', 'tasks_full'],
])
