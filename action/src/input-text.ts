import type { Job } from './job.ts'
import { ACTION_LIMITS } from './limits.ts'

export type Inputs = Pick<Job, 'env' | 'input'>

export function given(job: Inputs, name: string): string | undefined {
  const value = job.input(name)
  return value === '' ? undefined : value
}

/** On lines, or with commas between. */
export function list(text: string): string[] {
  return text.split(/[\n,]/).flatMap(item => (item.trim() === '' ? [] : [item.trim()]))
}

/** An input in a message: on one line, and no longer than is of use. */
export function quoted(text: string): string {
  return JSON.stringify(text.slice(0, ACTION_LIMITS.shownChars))
}
