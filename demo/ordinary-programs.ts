import { mkdir } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { AUDIENCE, BUCKET } from '../test/fakes/installation.ts'
import { startRunner } from '../test/fakes/runner.ts'
import { GIT_ENVIRONMENT, startGitHost } from './git-host.ts'
import { secondTerminal } from './second-terminal.ts'
import type { Stage } from './stage.ts'
import type { Timeline } from './timeline.ts'

const JOB = 'nightly job'
const SCRIPT = join(import.meta.dirname, 'nightly.sh')

/** git and an AWS SDK, unchanged, inside `mayfly exec`: they ask for what they need when they need it. */
export async function ordinaryPrograms({ installation, ...stage }: Stage, timeline: Timeline): Promise<void> {
  timeline.chapter(
    'Programs that know nothing of Mayfly: a git push, and an AWS SDK',
    'A nightly job wraps its script in one command. git asks a credential helper, and the SDK its container\n' +
      'endpoint, as they do anywhere; both are answered by a server that lives as long as the script does.',
  )
  if (!stage.servesGit)
    return timeline.text('          (left out: the git of this machine has no git-http-backend)')

  // 1. The job, and GitHub's git.
  await using opened = new AsyncDisposableStack()
  const host = await startGitHost(installation)
  opened.defer(() => host.close())
  const runner = await startRunner(installation, { event_name: 'schedule' })
  opened.defer(() => runner.close())
  const home = join(installation.directory, 'home', 'nightly')
  await mkdir(home, { recursive: true })
  const { github, aws, clock, roleArn } = installation
  const env = {
    ...runner.env,
    ...GIT_ENVIRONMENT,
    ...{ MAYFLY_URL: stage.broker.url, MAYFLY_AUDIENCE: AUDIENCE, GIT_SERVER: host.url },
    ...{ AWS_REGION: 'eu-central-1', AWS_ENDPOINT_URL_S3: aws.url, DEMO: import.meta.dirname },
    // biome-ignore lint/style/noProcessEnv: the machine's own git is what is shown.
    PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
  }
  const job = secondTerminal({ who: JOB, home, env, now: clock.now })

  // 2. Its script. What the SDK got is short: it is the kind that nobody can revoke.
  const wanted = ['github=acme/api:contents:write', `aws=${roleArn}#s3:GetObject@arn:aws:s3:::${BUCKET}/*`]
  const command = ['exec', '--env', 'handles', '--minutes', '5', ...wanted.flatMap(ask => ['--ask', ask])]
  const ran = await job.mayfly(...command, '--', 'sh', SCRIPT)
  timeline.typed(
    JOB,
    `${command.join(' ').replaceAll('--ask', '\\\n            --ask')} -- sh nightly.sh`,
    ran,
    0,
  )
  const hadNone = ran.text.includes('secrets of GitHub or AWS in this environment: 0')
  timeline.ensure(hadNone, 'a program gets handles instead of secrets')

  // 3. GitHub's side of it.
  const push = host.requests.find(({ service, method, status }) => {
    return service === 'git-receive-pack' && method === 'POST' && status === 200
  })
  const token = github.credentials().find(({ sha256 }) => sha256 === push?.sha256)
  timeline.ensure(token !== undefined, 'git pushes with a token of the task')
  timeline.ensure(token?.alive === false, 'the token that git pushed with is dead when the script is over')
  const mark = `sha256 ${push?.sha256?.slice(0, 8)}...`
  timeline.step(
    'GitHub',
    `took the push, by a token (${mark}) that is ${token?.alive ? 'alive' : 'dead'} by now`,
  )
}
