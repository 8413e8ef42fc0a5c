/**
 * `npm run demo -- --stay`: the demo's world without its story. It stays up, and tells what to set so that
 * the README's commands, and those of a real GitHub Actions job, work by hand.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AUDIENCE, RESOURCE_SERVER } from '../test/fakes/installation.ts'
import { startRunner } from '../test/fakes/runner.ts'
import { OCTO_STS_DOMAIN, OCTO_STS_POLICY } from './doors.ts'
import { startGitHost } from './git-host.ts'
import { openStage, type Stage } from './stage.ts'
import { startSvidServer } from './svid-server.ts'

export type PlaygroundOptions = {
  out: (text: string) => void
  /** Rejects when it is to close. */
  interrupted: Promise<never>
}

export async function runPlayground({ out, interrupted }: PlaygroundOptions): Promise<never> {
  await using opened = new AsyncDisposableStack()
  const stage = await openStage()
  opened.defer(() => stage.close())
  const { installation, broker, operatorToken } = stage
  const runner = await startRunner(installation)
  opened.defer(() => runner.close())
  const platform = await startSvidServer(installation)
  opened.defer(() => platform.close())
  const git = stage.servesGit ? await startGitHost(installation) : undefined
  opened.defer(async () => git?.close())
  const operatorFile = join(installation.directory, 'operator.token')
  await writeFile(operatorFile, `${operatorToken}\n`, { mode: 0o600 })

  const home = join(installation.directory, 'home')
  const job = {
    MAYFLY_URL: broker.url,
    MAYFLY_AUDIENCE: AUDIENCE,
    MAYFLY_OPERATOR_TOKEN_FILE: operatorFile,
    ...runner.env,
    ...(git !== undefined && { GIT_SERVER: git.url }),
    GITHUB_API: installation.github.url,
    ...{ AWS_REGION: 'eu-central-1', AWS_ENDPOINT_URL_S3: installation.aws.url, ROLE: installation.roleArn },
    OCTO_STS_DOMAIN,
    RESOURCE_SERVER: `${RESOURCE_SERVER.id}:${RESOURCE_SERVER.secret}`,
    SVIDS: platform.url,
    XDG_STATE_HOME: join(home, 'job'),
    XDG_CONFIG_HOME: join(home, 'job'),
  }
  putPolicy(installation)
  const human = { MAYFLY_URL: broker.url, XDG_CONFIG_HOME: join(home, 'human') }
  out([AS_A_JOB, exportsOf(job), AS_AN_AGENT, AS_A_HUMAN, exportsOf(human), APPROVE, LAST, ''].join('\n\n'))
  return await interrupted
}

/** As workflows of octo-sts have it, on the default branch. */
function putPolicy({ github, identityProvider }: Stage['installation']): void {
  const files = {
    'README.md': 'hello',
    [OCTO_STS_POLICY.path]: OCTO_STS_POLICY.text(identityProvider.issuer),
  }
  github.addRepository({ id: 1, owner: 'acme', name: 'api', files })
}

const exportsOf = (variables: Record<string, string>) =>
  Object.entries(variables)
    .map(([name, value]) => `export ${name}='${value}'`)
    .join('\n')

const AS_A_JOB = `A broker, an identity provider, a GitHub and an AWS are up on this machine. In another
terminal, become a job of acme/api on main, and an operator, with:`

const AS_AN_AGENT = `An approval by hand. In that terminal start an agent of the highest tier, whose write waits for a human:

npx node demo/upgrader.ts`

const AS_A_HUMAN = `In a second terminal be that human. The command line prints an address each time: open it in a browser and
say who you are. Cleo may approve. Olga may not, since the agent is of her team; Vera only looks on. Paul's team
has the namespace "payments", and Ada runs it all.`

const APPROVE = `npx mayfly login
npx mayfly approvals
npx mayfly approvals approve APPROVAL

Then log in once more, as Olga, and stop it: npx mayfly agents quarantine upgrader --reason 'odd commits'
A browser stays signed in: for another human open the address in a private window. Without a browser sign in
from a third terminal, here: npx node demo/sign-in.ts cleo 'ADDRESS'`

const LAST = `What there is for whom: "Five minutes" in README.md, with these two terminals.
Ctrl-C ends it and leaves nothing behind.`
