import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CommandError, type Terminal } from './terminal.ts'

/** What `demo/main.ts` exports. It is loaded by path: nothing in the product imports it, or its stand-ins. */
type Demo = {
  runDemo(options: {
    out: (text: string) => void
    color: boolean
    interrupted: Promise<never>
  }): Promise<boolean>
}

/** `mayfly demo`: the main job against stand-ins on this machine. Exit code 0 where all was as promised. */
export async function demo(terminal: Terminal): Promise<void> {
  const { runDemo } = await load(terminal.packageRoot)
  const { promise: interrupted, reject } = Promise.withResolvers<never>()
  const stop = () => reject(new CommandError('the demo was stopped', { exitCode: 130 }))
  const release = [terminal.onSignal('SIGINT', stop), terminal.onSignal('SIGTERM', stop)]
  try {
    const asPromised = await runDemo({ out: terminal.out, color: terminal.color, interrupted })
    terminal.exitWith(asPromised ? 0 : 1)
  } finally {
    for (const off of release) off()
  }
}

async function load(packageRoot: string): Promise<Demo> {
  try {
    return (await import(pathToFileURL(join(packageRoot, 'demo', 'main.ts')).href)) as Demo
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new CommandError(
      'the demo plays against stand-ins that are not part of the installed package. ' +
        'Run it in a checkout of the repository: npm ci && npm run demo',
      { cause },
    )
  }
}
