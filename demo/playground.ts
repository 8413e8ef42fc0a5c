/**
 * `npm run demo -- --stay`: the demo's world without its story. It stays up, and tells what to set so that
 * the README's commands, and those of a real GitHub Actions job, work by hand.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AUDIENCE, RESOURCE_SERVER } from '../test/fakes/installation.ts'
import { startRunner } from '../test/fakes/runner.ts'
import { openStage } from './stage.ts'

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
  const operatorFile = join(installation.directory, 'operator.token')
  await writeFile(operatorFile, `${operatorToken}\n`, { mode: 0o600 })

  const variables = {
    MAYFLY_URL: broker.url,
    MAYFLY_AUDIENCE: AUDIENCE,
    MAYFLY_OPERATOR_TOKEN_FILE: operatorFile,
    ...runner.env,
    GITHUB_API: installation.github.url,
    RESOURCE_SERVER: `${RESOURCE_SERVER.id}:${RESOURCE_SERVER.secret}`,
  }
  const exports = Object.entries(variables).map(([name, value]) => `export ${name}='${value}'`)
  out(`${INTRODUCTION}\n\n${exports.join('\n')}\n\nCtrl-C ends it and leaves nothing behind.\n`)
  return await interrupted
}

const INTRODUCTION = `A broker, an identity provider, a GitHub and an AWS are up on this machine. In another
terminal, become a job of acme/api on main, and an operator, with:`
