/** A step in this process: what its runner would read, in the order in which it would. */

import type { Child, Job } from '../../action/src/job.ts'
import { jobOn } from '../../action/src/job-on.ts'
import { runScript } from '../../action/src/run-script.ts'

export type Event = { to: 'log' | 'output' | 'state' | 'env'; text: string }

export type FakeJob = {
  job: Job
  events: Event[]
  outputs: Record<string, string>
  state: Record<string, string>
  exported: Record<string, string>
  hasFailed(): boolean
  /** All lines of the log, without the masks. */
  log(): string
  /** Sends the step a signal, as a runner does that cancels its job. */
  kill(signal: NodeJS.Signals): void
  /** What was waited out. */
  waits: number[]
}

export type StepOf = {
  inputs: Readonly<Record<string, string>>
  env: Readonly<Record<string, string>>
  clock: { now: () => number; advance(ms: number): void }
  /** Left by the main step. */
  state?: Readonly<Record<string, string>>
  folder?: string
}

export function fakeJob({ inputs, env, clock, state: before = {}, folder = '/nowhere' }: StepOf): FakeJob {
  const events: Event[] = []
  const fake = { outputs: {}, state: {}, exported: {} } as Pick<FakeJob, 'outputs' | 'state' | 'exported'>
  const [waits, handlers] = [[] as number[], new Map<NodeJS.Signals, () => void>()]
  let hasFailed = false
  const inputEnv = Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])
  const whole: Record<string, string> = { GITHUB_OUTPUT: 'o', GITHUB_STATE: 's', GITHUB_ENV: 'e', ...env }
  Object.assign(whole, Object.fromEntries(inputEnv))

  const put = (to: Event['to'], into: Record<string, string>) => (name: string, value: string) => {
    into[name] = value
    events.push({ to, text: `${name}=${value}` })
  }
  // As `@actions/core` writes them.
  const command = (name: string) => (message: string | Error) => {
    const text = String(message).replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
    events.push({ to: 'log', text: `::${name}::${text}` })
  }
  const job = jobOn({
    core: {
      getInput: name => (whole[`INPUT_${name.toUpperCase()}`] ?? '').trim(),
      getState: name => before[name] ?? '',
      setSecret: command('add-mask'),
      setOutput: put('output', fake.outputs),
      saveState: put('state', fake.state),
      exportVariable: put('env', fake.exported),
      info: text => void events.push(...text.split('\n').map(line => ({ to: 'log' as const, text: line }))),
      notice: command('notice'),
      warning: command('warning'),
      setFailed(message) {
        hasFailed = true
        command('error')(message)
      },
    },
    env: whole,
    world: {
      fetch,
      now: clock.now,
      schedule(ms, run, options) {
        if (options?.background) return () => {}
        waits.push(ms)
        clock.advance(ms)
        const immediate = setImmediate(run)
        return () => clearImmediate(immediate)
      },
    },
    onSignal(signal, run) {
      handlers.set(signal, run)
      return () => handlers.delete(signal)
    },
    run: (script, childEnv): Promise<Child> => runScript(script, childEnv, folder),
  })
  return {
    job,
    events,
    ...fake,
    waits,
    hasFailed: () => hasFailed,
    log: () =>
      events
        .flatMap(({ to, text }) => (to === 'log' && !text.startsWith('::add-mask::') ? [text] : []))
        .join('\n'),
    kill: signal => handlers.get(signal)?.(),
  }
}

/** What a runner would take for commands, by name (actions/runner, `ActionCommand`). */
export function commandsOf(events: readonly Event[]): string[] {
  return events.flatMap(({ to, text }) => {
    if (to !== 'log') return []
    const second = /^\s*::([a-z-]+)(?: .*?)?::/.exec(text)?.[1]
    const first = /##\[([a-z-]+)/.exec(text)?.[1]
    return [second, first].filter(name => name !== undefined)
  })
}
