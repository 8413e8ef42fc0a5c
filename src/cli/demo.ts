import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CommandError, errorCode, type Terminal } from './terminal.ts'

/** What `demo/main.ts` exports. It is loaded by path: nothing in the product imports it, or its stand-ins. */
type Demo = {
  runDemo(options: {
    out: (text: string) => void
    color: boolean
    interrupted: Promise<never>
  }): Promise<boolean>
}

type DemoTerminal = Pick<Terminal, 'env' | 'packageRoot' | 'out' | 'outIsTerminal' | 'exitWith' | 'onSignal'>

/** 128 and the number of SIGINT, as shells count. */
const EXIT_INTERRUPTED = 130

/** `mayfly demo`: the main job against stand-ins on this machine. Exit code 0 where all was as promised. */
export async function demo(terminal: DemoTerminal): Promise<void> {
  const { runDemo } = await load(terminal.packageRoot)
  const color = terminal.outIsTerminal && !terminal.env.NO_COLOR
  const { promise: interrupted, reject } = Promise.withResolvers<never>()
  // A signal may come before anyone waits for it.
  interrupted.catch(() => {})
  const stop = () => reject(new CommandError('the demo was stopped', { exitCode: EXIT_INTERRUPTED }))
  const handlers = [terminal.onSignal('SIGINT', stop), terminal.onSignal('SIGTERM', stop)]
  try {
    const asPromised = await runDemo({ out: terminal.out, color, interrupted })
    terminal.exitWith(asPromised ? 0 : 1)
  } finally {
    for (const takeBack of handlers) takeBack()
  }
}

async function load(packageRoot: string): Promise<Demo> {
  try {
    return (await import(pathToFileURL(join(packageRoot, 'demo', 'main.ts')).href)) as Demo
  } catch (cause) {
    if (errorCode(cause) !== 'ERR_MODULE_NOT_FOUND') throw cause
    const missing = (cause as Error).message.split(' imported from ')[0]
    throw new CommandError(
      'the demo plays against stand-ins, which come with a checkout of the repository and its development ' +
        `packages, not with the installed package. In a checkout: npm ci && npm run demo\n(${missing})`,
      { cause },
    )
  }
}
