import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CommandError, errorCode, type Terminal } from './terminal.ts'

type Options = { out: (text: string) => void; color: boolean; interrupted: Promise<never> }

/** What `demo/` exports. It is loaded by path: nothing in the product imports it, or its stand-ins. */
type Demo = { runDemo(options: Options): Promise<boolean> }
type Playground = { runPlayground(options: Omit<Options, 'color'>): Promise<never> }

type DemoTerminal = Pick<Terminal, 'env' | 'packageRoot' | 'out' | 'outIsTerminal' | 'exitWith' | 'onSignal'>

/** 128 and the number of SIGINT, as shells count. */
const EXIT_INTERRUPTED = 130

/**
 * `mayfly demo`: the main job against stand-ins on this machine. Exit code 0 where all was as promised. With
 * `stay` the stand-ins and the broker stay up instead, to be played with by hand.
 */
export async function demo(terminal: DemoTerminal, { stay = false }: { stay?: boolean } = {}): Promise<void> {
  const color = terminal.outIsTerminal && !terminal.env.NO_COLOR
  const { promise: interrupted, reject } = Promise.withResolvers<never>()
  // A signal may come before anyone waits for it.
  interrupted.catch(() => {})
  const stop = () => reject(new CommandError('the demo was stopped', { exitCode: EXIT_INTERRUPTED }))
  const handlers = [terminal.onSignal('SIGINT', stop), terminal.onSignal('SIGTERM', stop)]
  try {
    if (stay) {
      const { runPlayground } = await load<Playground>(terminal.packageRoot, 'playground.ts')
      await runPlayground({ out: terminal.out, interrupted })
    }
    const { runDemo } = await load<Demo>(terminal.packageRoot, 'main.ts')
    const asPromised = await runDemo({ out: terminal.out, color, interrupted })
    terminal.exitWith(asPromised ? 0 : 1)
  } finally {
    for (const takeBack of handlers) takeBack()
  }
}

async function load<Module>(packageRoot: string, file: string): Promise<Module> {
  try {
    return (await import(pathToFileURL(join(packageRoot, 'demo', file)).href)) as Module
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
