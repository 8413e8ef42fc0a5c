/** What the step asks for, read once and strictly. */
import { readAsks, type WantedAsk } from './asks.ts'
import { given, type Inputs, quoted } from './input-text.ts'
import { StepError } from './job.ts'
import { ACTION_LIMITS } from './limits.ts'
import { plain } from './plain.ts'

/** `step`: as long as the command that the step itself runs. `job`: until the job is over. `run`: until its run is. */
export type Lifetime = 'step' | 'job' | 'run'

export type Wanted = {
  url: string
  audience: string | undefined
  agent: string | undefined
  purpose: string
  justification: string | undefined
  minutes: number | undefined
  waitMs: number
  asks: readonly WantedAsk[]
  region: string | undefined
} & Life

type Life =
  | { lifetime: 'step'; script: string }
  | { lifetime: 'job' | 'run'; exported: 'nothing' | 'aws' | 'everything' }

/** @throws StepError that names the input, what was expected, and what to write */
export function readInputs(job: Inputs): Wanted {
  const url = job.input('url') || job.env.MAYFLY_URL
  if (!url) throw new StepError('url is missing: the address of the broker, like https://mayfly.example.com')
  return {
    url,
    audience: given(job, 'audience'),
    agent: given(job, 'agent'),
    purpose: purposeOf(job),
    justification: given(job, 'justification')?.replaceAll(/[^\P{Cc}\n\t]/gu, ' '),
    minutes: count(job, 'minutes', 1, 24 * 60),
    waitMs:
      1_000 *
      (count(job, 'wait-for-approval', 0, ACTION_LIMITS.approvalMaxSeconds) ?? ACTION_LIMITS.approvalSeconds),
    asks: readAsks(job),
    region: given(job, 'aws-region'),
    ...readLifetime(job),
  }
}

/** The shortest that can be had: that of the command where the step has one, otherwise the job's. */
function readLifetime(job: Inputs): Life {
  const script = given(job, 'run')
  const lifetime = given(job, 'lifetime') ?? (script === undefined ? 'job' : 'step')
  switch (lifetime) {
    case 'step':
      if (script === undefined)
        throw new StepError(
          'lifetime: step needs run: the command that is to have the credentials.\n' +
            '  GitHub tells nobody when another step ends; for the steps that follow, the shortest is lifetime: job.',
        )
      // `bash` by itself is another one there than the runner's.
      if (job.env.RUNNER_OS === 'Windows')
        throw new StepError('run is for runners with Linux or macOS; on Windows, use mayfly exec')
      if (given(job, 'export-env') === 'true')
        throw new StepError('export-env is for the steps that follow: what run is given is dead by then')
      return { lifetime, script }
    case 'job':
    case 'run':
      if (script !== undefined)
        throw new StepError(
          `run and lifetime: ${lifetime} are two things: what run is given ends with it (lifetime: step).\n` +
            '  Leave one of them out.',
        )
      return { lifetime, exported: exportedBy(job) }
    default:
      throw new StepError(`lifetime: ${quoted(lifetime)} is none. Expected step, job or run`)
  }
}

/** Whoever writes `role-to-assume` comes from an action that exports; whoever writes `aws-role` says so. */
function exportedBy(job: Inputs): 'nothing' | 'aws' | 'everything' {
  switch (given(job, 'export-env')) {
    case undefined:
      return given(job, 'role-to-assume') === undefined ? 'nothing' : 'aws'
    case 'true':
      return 'everything'
    case 'false':
      return 'nothing'
    default:
      throw new StepError(`export-env: ${quoted(job.input('export-env'))} is neither true nor false`)
  }
}

/** For whoever reads the audit log: by default the workflow, the job and the run, as people name them. */
function purposeOf(job: Inputs): string {
  const { GITHUB_WORKFLOW: workflow = 'a workflow', GITHUB_JOB: name, GITHUB_RUN_ID: run } = job.env
  const otherwise = `${workflow}${name ? ` / ${name}` : ''}${run ? `, run ${run}` : ''}`
  const purpose = plain(given(job, 'purpose') ?? otherwise).trim()
  if (purpose.length > ACTION_LIMITS.purposeChars && given(job, 'purpose') !== undefined)
    throw new StepError(`purpose is longer than ${ACTION_LIMITS.purposeChars} characters`)
  return purpose.slice(0, ACTION_LIMITS.purposeChars)
}

function count(job: Inputs, name: string, least: number, most: number): number | undefined {
  const text = given(job, name)
  if (text === undefined) return undefined
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new StepError(`${name}: ${quoted(text)} is not a whole number from ${least} to ${most}`)
}
