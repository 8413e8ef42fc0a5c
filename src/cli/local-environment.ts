/** `mayfly agent env`: what a shell needs so that git and the AWS SDKs in it ask the agent, for `eval`. */
import { connectSidecar, type Sidecar } from '../sidecar/call.ts'
import type { LocalAsk } from '../sidecar/protocol.ts'
import { SIDECAR_VARIABLES } from '../sidecar/variables.ts'
import { awsHandle } from './child-environment.ts'
import { gitEnvironment } from './git-environment.ts'
import { type SocketOption, socketPath } from './local-agent.ts'
import { asking } from './local-tasks.ts'
import { CommandError, type Terminal, usageError } from './terminal.ts'

/** @param id of the task that is meant, where it holds several */
export async function localEnvironment(
  terminal: Terminal,
  id: string | undefined,
  options: SocketOption,
): Promise<void> {
  const socket = socketPath(terminal, options)
  const sidecar = connectSidecar({ socket })
  const asks = await asking(() => asksOf(sidecar, id))
  const providers = asks.flatMap(({ kind, provider }) => (kind === 'github' ? (provider ?? []) : []))
  const variables = {
    [SIDECAR_VARIABLES.socket]: socket,
    ...(providers.length > 0 && gitEnvironment(terminal, providers)),
    ...(await asking(() => awsOf(sidecar, asks))),
  }
  for (const [name, value] of Object.entries(variables)) terminal.out(`export ${name}=${quoted(value)}\n`)
}

async function asksOf(sidecar: Sidecar, id: string | undefined): Promise<LocalAsk[]> {
  const active = (await sidecar.tasks()).filter(task => task.state === 'active')
  const [task, ...more] = id === undefined ? active : active.filter(one => one.id === id)
  if (task === undefined) throw new CommandError('no such task is held: see mayfly agent tasks')
  if (more.length > 0)
    throw usageError('several tasks are held: name the one that is meant, with: mayfly agent env TASK')
  return task.asks
}

async function awsOf(sidecar: Sidecar, asks: readonly LocalAsk[]): Promise<Record<string, string>> {
  const [ask, ...more] = asks.filter(({ kind }) => kind === 'aws')
  if (ask === undefined) return {}
  if (more.length > 0)
    throw usageError(
      'the task has several asks for AWS, and SDKs know one place to ask: use profiles with mayfly aws-credentials',
    )
  const { url, token } = await sidecar.aws()
  return awsHandle({ url, token: token.reveal(), tokenFile: undefined }, ask.handle)
}

function quoted(value: string): string {
  return `'${value.replaceAll("'", `'\\''`)}'`
}
