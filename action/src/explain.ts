/** What went wrong, in lines for whoever reads the job's log: what it was, what to ask for, and of whom. */
import {
  type Ask,
  isDenied,
  isPending,
  isUnavailable,
  MayflyError,
  type TaskAsk,
} from '../../src/client/index.ts'
import type { Wanted } from './inputs.ts'
import { type Job, StepError } from './job.ts'
import { ACTION_LIMITS } from './limits.ts'
import { plainLines, shown } from './plain.ts'

export function explain(error: unknown, job: Pick<Job, 'env'>, wanted: Wanted | undefined): string {
  if (error instanceof StepError) return error.message
  if (!(error instanceof MayflyError))
    return `this is a fault of the action (${error instanceof Error ? shown(`${error.name}: ${error.message}`) : 'unknown'})`
  const is = (kind: (error: unknown) => boolean) => kind(error)
  if (is(isDenied)) return denial(error, job, wanted)
  if (is(isPending)) return pending(error, job)
  if (error.status === 429) return limit(error, job)
  if (is(isUnavailable)) return outage(error, job)
  return `${plainLines(error.message)}\n${pageOf(job)}`
}

/** One line. */
export function briefly(error: unknown): string {
  if (error instanceof MayflyError) return `${shown(error.code)}${error.status ? `, ${error.status}` : ''}`
  return error instanceof Error ? shown(error.name) : 'unknown'
}

/** One line, without a full stop. */
export function outageOf(error: MayflyError): string {
  if (error.code === 'evidence_unavailable') return "the runner's ID token cannot be had"
  if (error.status === undefined) return `the broker does not answer (${shown(error.code)})`
  return `${shown(error.problem?.title ?? 'the broker cannot answer')} (${shown(error.code)}, ${error.status})`
}

/** Shown while the job waits: the ids are what humans look for. */
export function waitingLine(asks: readonly TaskAsk[], waitMs: number): string {
  const which = asks.map(
    ({ asked, approval, id }) => `${shown(approval?.id ?? id)} for ${describeAsk(asked)}`,
  )
  return `waiting for humans, ${Math.round(waitMs / 1_000)} s at most: approval ${which.join('; ')}`
}

function denial(error: MayflyError, job: Pick<Job, 'env'>, wanted: Wanted | undefined): string {
  const { code, decision, problem } = error
  const why = problem === undefined ? error.message : `${problem.detail.replace(/\.$/, '')} (${shown(code)})`
  return [
    `Mayfly said no: ${shown(why)}.`,
    `agent: ${wanted?.agent === undefined ? 'the one that this job is registered as' : shown(wanted.agent)}`,
    ...(wanted?.asks ?? []).map(({ ask }) => `asked: ${describeAsk(ask)}`),
    ...(decision === undefined ? [] : [`decision: ${shown(decision)}`]),
    `What to ask ${OWNERS[code] ?? 'whoever answers for the agent'} for: ${wish(code, job)}`,
    ...(decision === undefined
      ? []
      : [`They see the rule and the reasons with: mayfly explain ${shown(decision)}`]),
    pageOf(job, 'refused'),
  ].join('\n')
}

const OWNERS: Readonly<Record<string, string>> = {
  agent_unmatched: 'the platform team',
  evidence_rejected: 'the platform team',
  blocked: 'an operator',
  agent_not_active: 'an operator',
  agent_quarantined: 'an operator',
}

function wish(code: string, { env }: Pick<Job, 'env'>): string {
  switch (code) {
    case 'ask_denied':
      return 'this ask, within its ceiling and by a policy; or ask for less.'
    case 'agent_unmatched':
      return `an agent whose rule fits this job (${factsOf(env)}); or name one of several as agent:.`
    case 'event_not_allowed':
      return `a rule that names the event ${shown(env.GITHUB_EVENT_NAME ?? '?')}, if that is meant to be allowed.`
    case 'evidence_rejected':
      return 'the audience that the broker expects (audience:), and the reason in its audit log.'
    case 'blocked':
      return 'what was stopped, and why; mayfly unblock lets it go on.'
    case 'agent_not_active':
    case 'agent_quarantined':
      return 'how the agent stands, and why.'
    case 'approval_over':
      return 'their reason; then ask anew, and better.'
    default:
      return 'the reason behind this decision.'
  }
}

/** What a rule matches a job by; none of it is secret, and the runner has shown it already. */
function factsOf(env: Job['env']): string {
  const facts = {
    repository_id: env.GITHUB_REPOSITORY_ID,
    repository: env.GITHUB_REPOSITORY,
    ref: env.GITHUB_REF,
    event_name: env.GITHUB_EVENT_NAME,
    workflow_ref: env.GITHUB_WORKFLOW_REF,
  }
  const known = Object.entries(facts).flatMap(([name, value]) => (value ? [`${name}: ${shown(value)}`] : []))
  return known.length === 0 ? 'no facts are known' : known.join(', ')
}

function pending(error: MayflyError, job: Pick<Job, 'env'>): string {
  return [
    `Humans were asked and have not answered: ${plainLines(error.message)}.`,
    'The task is over, and with it the question. Raise wait-for-approval, or have them agree beforehand',
    '(mayfly preapprovals), and run the job again.',
    pageOf(job, 'approvals'),
  ].join('\n')
}

function limit(error: MayflyError, job: Pick<Job, 'env'>): string {
  const after = error.retryAfterMs
  return [
    `A limit is reached: ${shown(error.problem?.detail ?? error.message)} (${shown(error.code)}).`,
    'Nothing was refused for good. ' +
      (after === undefined ? 'Run the job again later.' : `Try again in ${Math.ceil(after / 1_000)} s.`),
    pageOf(job, 'limits'),
  ].join('\n')
}

function outage(error: MayflyError, job: Pick<Job, 'env'>): string {
  return [
    `This is an outage, not a refusal: ${outageOf(error)}.`,
    error.retryable
      ? `It was tried again for up to ${ACTION_LIMITS.outageMs / 1_000} s. Nothing was decided; run the job again when the broker is back.`
      : 'Nothing was decided; run the job again. What was minted, if anything, is in the ledger and dies with the task.',
    ...(needsProxy(job.env)
      ? ['This job has a proxy, which Node uses only with   NODE_USE_ENV_PROXY: 1   in the env of the step.']
      : []),
    pageOf(job, 'outages'),
  ].join('\n')
}

/** Node 24 reads the proxy variables only where it is told to (nodejs.org, "Built-in Proxy Support"). */
function needsProxy(env: Job['env']): boolean {
  const named = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].some(name => env[name])
  return named && env.NODE_USE_ENV_PROXY !== '1'
}

export function describeAsk({ type, ...members }: Ask): string {
  return shown(`${type} ${JSON.stringify(members)}`)
}

/** Where this very version of the action is documented. */
function pageOf({ env }: Pick<Job, 'env'>, part = ''): string {
  const { GITHUB_SERVER_URL: server, GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref } = env
  const page = `docs/action.md${part === '' ? '' : `#${part}`}`
  const isKnown = server && repository && ref
  return `See ${isKnown ? shown(`${server}/${repository}/blob/${ref}/${page}`) : page}`
}
