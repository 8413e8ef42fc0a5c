import { StepError } from './job.ts'

export type Statement = { actions: string[]; resources: string[] }

/**
 * What an AWS session is narrowed to: `aws-actions` on `aws-resources`, or the statements of an IAM policy document
 * (`inline-session-policy` of aws-actions/configure-aws-credentials), whose every word the broker's form can say.
 *
 * @throws StepError
 */
export function awsStatements(wanted: {
  actions: readonly string[]
  resources: readonly string[]
  policy: string | undefined
}): Statement[] {
  const [actions, resources] = [[...wanted.actions], [...wanted.resources]]
  if ((actions.length === 0) !== (resources.length === 0))
    throw new StepError('aws-actions and aws-resources belong together: give both')
  return [
    ...(actions.length === 0 ? [] : [{ actions, resources }]),
    ...(wanted.policy === undefined ? [] : statementsOf(wanted.policy)),
  ]
}

function statementsOf(policy: string): Statement[] {
  const found = oneOrMore(members(json(policy), ['Version', 'Id', 'Statement']).Statement)
  if (found.length === 0) throw unfit('it has no Statement')
  return found.map(one => {
    const { Effect, Action, Resource } = members(one, ['Sid', 'Effect', 'Action', 'Resource'])
    if (Effect !== 'Allow') throw unfit('a statement has another Effect than Allow')
    return { actions: texts(Action, 'Action'), resources: texts(Resource, 'Resource') }
  })
}

/** What is left out would widen: a member that is not known is refused. */
function members(value: unknown, known: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unfit('it is no object')
  const other = Object.keys(value).find(name => !known.includes(name))
  if (other !== undefined) throw unfit(`it has ${JSON.stringify(other.slice(0, 100))}`)
  return value as Record<string, unknown>
}

function texts(value: unknown, name: string): string[] {
  const all = oneOrMore(value)
  if (all.length > 0 && all.every(one => typeof one === 'string')) return all as string[]
  throw unfit(`a statement has no ${name} that is text`)
}

function oneOrMore(value: unknown): unknown[] {
  if (value === undefined) return []
  return Array.isArray(value) ? value : [value]
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw unfit('it is not JSON')
  }
}

function unfit(why: string): StepError {
  return new StepError(
    `inline-session-policy cannot be asked for: ${why}.\n` +
      '  Expected an IAM policy document of Allow statements with Action and Resource, and nothing else.',
  )
}
