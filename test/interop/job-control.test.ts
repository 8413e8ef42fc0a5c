/** A shell on a terminal of its own: what it makes of `mayfly exec` that is stopped, woken and interrupted. */
import { execFile, execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { createInstallation, type Installation, ORDERS, startBroker } from '../fakes/installation.ts'

const run = promisify(execFile)
const MAIN = join(import.meta.dirname, '../../src/main.ts')

let installation: Installation
let broker: RunningServer
beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

/** Types on the terminal, and waits for what is to come; 30 seconds for each. */
const TERMINAL = `
import os, pty, select, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execvp('bash', ['bash', '--norc', '-i'])
seen = b''
def until(text):
    global seen
    end = time.time() + 30
    while text not in seen:
        if time.time() > end or not select.select([terminal], [], [], 30)[0]:
            sys.exit('waited for %r, and saw %r' % (text, seen))
        seen += os.read(terminal, 4096)
    seen = seen.split(text, 1)[1]
def type(text):
    os.write(terminal, text)
type(b'set +H; PS1="read""y> "\\n'); until(b'ready> ')
type(sys.argv[1].encode() + b'\\n'); until(b'STARTED')
type(b'\\x1a'); until(b'Stopped'); until(b'ready> ')
type(b'fg\\n'); until(b'child.sh')
type(b'a line\\n'); until(b'GOT a line')
type(b'\\x03'); until(b'INTERRUPTED')
until(b'ready> ')
type(b'echo "CODE"=$?\\n'); until(b'CODE=4')
print('all of it')
`
const CHILD = `
trap 'echo INTERRUPTED; exit 4' INT
echo STARTED
read line; echo "GOT $line"
read line
`
const hasPython = () => {
  try {
    execFileSync('python3', ['-c', 'import pty'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

test.skipIf(!hasPython())(
  'Ctrl-Z, fg, a line and Ctrl-C reach the command, and its exit code the shell',
  async () => {
    const [child, evidence] = ['child.sh', 'evidence'].map(name => join(installation.directory, name))
    await writeFile(child!, CHILD)
    await writeFile(evidence!, await installation.jobToken())
    const command = `${process.execPath} ${MAIN} exec --quiet --ask 'jwt=${ORDERS}#orders.read' -- bash ${child}`
    const env = { PATH: process.env.PATH ?? '', MAYFLY_URL: broker.url, MAYFLY_EVIDENCE_FILE: evidence! }
    const { stdout } = await run('python3', ['-c', TERMINAL, command], { env })
    expect(stdout).toContain('all of it')
    const { items } = await broker.broker.ledger.read.tasks({}, { limit: 10 })
    expect(items.filter(task => task.system === 0)).toMatchObject([
      { end: 'failed', end_detail: 'exit code 4' },
    ])
  },
)
