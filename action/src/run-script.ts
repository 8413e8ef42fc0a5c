import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Child, ChildEnd } from './job.ts'

/** As the runner runs a step with `shell: bash`: from a file in `folder`, so that no argument carries the script. */
export async function runScript(
  script: string,
  env: Readonly<Record<string, string>>,
  folder: string,
): Promise<Child> {
  const file = join(folder, `mayfly-${randomUUID()}.sh`)
  await writeFile(file, script, { mode: 0o600, flag: 'wx' })
  const args = ['--noprofile', '--norc', '-e', '-o', 'pipefail', file]
  const child = spawn('bash', args, { stdio: 'inherit', env })
  const ended = new Promise<ChildEnd>(resolve => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) resolve({ how: 'failed', code: error.code ?? 'unknown' })
    })
    child.once('exit', (code, signal) =>
      resolve(signal === null ? { how: 'exited', code: code ?? 1 } : { how: 'signalled', signal }),
    )
  })
  return {
    signal: signal => void child.kill(signal),
    ended: ended.finally(() => rm(file, { force: true })),
  }
}
