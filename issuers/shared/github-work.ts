/**
 * What GitHub says of workflow jobs and runs, in its API and in its webhooks. A job's id is its check run's
 * too, which is the `check_run_id` of the job's OIDC token.
 */
import { z } from 'zod'
import type { GithubAsk } from './github-ask.ts'
import { type Answer, type GithubRest, unavailable } from './github-rest.ts'
import type { Secret } from './secret.ts'
import type { Look, RunAttempt, WorkOutcome, WorkState, WorkWatch } from './work.ts'

/** GitHub's largest page, and how many of them are read: a run has at most 256 jobs of each of its matrices. */
const JOBS_PER_PAGE = 100
const JOB_PAGES = 20
/** Tasks live on the same limit as looking does: below this share of it, looking waits. */
const RESERVED_SHARE = 0.25

/** `status` and `conclusion` as GitHub writes them on jobs and runs. */
export const githubProgress = z.object({ status: z.string(), conclusion: z.string().nullish() })
const job = githubProgress.extend({ id: z.int(), run_id: z.int(), run_attempt: z.int().optional() })
const jobList = z.object({ total_count: z.int(), jobs: z.array(job) })

/** The name GitHub goes by in work keys: the host of its web pages. */
export function githubProvider(apiUrl: string): string {
  const { hostname } = new URL(apiUrl)
  return hostname === 'api.github.com' ? 'github.com' : hostname.replace(/^api\.(?=.+\.ghe\.com$)/, '')
}

/**
 * `action_required` is a run that waits for a maintainer's approval: it is "completed" and may yet begin.
 * What GitHub may say tomorrow is an end too, and no success.
 */
export function githubState({ status, conclusion }: z.infer<typeof githubProgress>): WorkState {
  if (status === 'in_progress') return { state: 'running' }
  if (status !== 'completed' || conclusion === 'action_required') return { state: 'waiting' }
  return { state: 'ended', outcome: outcomeOf(conclusion ?? '') }
}

function outcomeOf(conclusion: string): WorkOutcome {
  if (['success', 'neutral', 'skipped'].includes(conclusion)) return 'completed'
  return ['cancelled', 'stale'].includes(conclusion) ? 'cancelled' : 'failed'
}

export function githubWatch(rest: GithubRest, apiUrl: string): WorkWatch<GithubAsk> {
  const get = (route: string, parameters: object, secret: Secret, lease: string) =>
    rest.asToken(`GET ${route}`, parameters, secret.reveal(), lease)
  // By id: a name can be given to another repository. GitHub serves every path of a repository under its id.
  const runs = '/repositories/{repository}/actions/runs/{run}/attempts/{attempt}'
  const jobs = '/repositories/{repository}/actions/jobs/{job}'

  return {
    provider: githubProvider(apiUrl),
    ask: (repository, name) => ({
      repositories: [{ id: Number(repository), ...(name === undefined ? {} : { name }) }],
      permissions: { actions: 'read', metadata: 'read' },
    }),
    async jobs(run, secret, lease) {
      const states = new Map<string, WorkState>()
      let last: Look<unknown> = { seen: undefined }
      for (let page = 1; page <= JOB_PAGES; page += 1) {
        const paging = { per_page: JOBS_PER_PAGE, page }
        const answer = await get(`${runs}/jobs`, { ...run, ...paging }, secret, lease)
        const found = read(answer, jobList, 'the jobs of a run')
        if (found.seen === undefined) return { ...found, seen: undefined }
        for (const one of found.seen.jobs) if (belongs(one, run)) states.set(String(one.id), githubState(one))
        last = found
        if (found.seen.jobs.length < JOBS_PER_PAGE || page * JOBS_PER_PAGE >= found.seen.total_count) break
      }
      return { ...last, seen: states }
    },
    async run(run, secret, lease) {
      const found = read(await get(runs, run, secret, lease), githubProgress, 'a run')
      return { ...found, seen: found.seen && githubState(found.seen) }
    },
    async job(run, id, secret, lease) {
      const { repository } = run
      const found = read(await get(jobs, { repository, job: id }, secret, lease), job, 'a job')
      const own = found.seen !== undefined && belongs(found.seen, run)
      return { ...found, seen: own ? githubState(found.seen!) : undefined }
    },
  }
}

function belongs(one: z.infer<typeof job>, { run, attempt }: RunAttempt): boolean {
  return String(one.run_id) === run && String(one.run_attempt ?? 1) === attempt
}

/** 404 is "unknown"; whatever else is not the answer says nothing. @throws ProviderUnavailable */
function read<Shape extends z.ZodType>(answer: Answer, shape: Shape, what: string): Look<z.infer<Shape>> {
  const held = holdUntil(answer)
  if (answer.status === 404) return { seen: undefined, ...held }
  if (answer.status !== 200) throw unavailable(answer, what)
  const parsed = shape.safeParse(answer.data)
  if (!parsed.success) throw unavailable(answer, `${what}, which cannot be read`)
  return { seen: parsed.data, ...held }
}

/** Until when others should have the calls that are left. */
export function holdUntil({ quota }: Answer): { holdUntil?: number } {
  if (quota === undefined || quota.remaining >= quota.limit * RESERVED_SHARE) return {}
  return { holdUntil: quota.resetsAt }
}
