import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runDemo } from '../../demo/main.ts'
import type { SecondTerminal } from '../../demo/second-terminal.ts'
import { openStage, type Stage } from '../../demo/stage.ts'
import { demo } from '../../src/cli/demo.ts'

const root = join(import.meta.dirname, '../..')

describe('mayfly demo', () => {
  test('shows every promise kept, ends with nothing outstanding, and leaves nothing behind', async () => {
    const { code, stdout, stderr } = await runProgram('demo')
    expect(stderr).toBe('')
    expect(code, stdout).toBe(0)
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('0 credentials outstanding')

    // Each credential works where it should, and nowhere else.
    const lines = stdout.split('\n')
    expect(lines).toContainEqual(line('release job', 'reads acme/api', 'allowed  GitHub: 200'))
    expect(lines).toContainEqual(line('release job', 'reads acme/web', 'refused  GitHub: 404'))
    expect(lines).toContainEqual(line('release job', 'reads s3://artifacts/build.txt', 'allowed  AWS: 200'))
    expect(lines).toContainEqual(line('release job', 'reads s3://ledgers/payroll.txt', 'refused  AWS: 403'))
    expect(lines).toContainEqual(line('release job', 'lists orders', 'allowed  orders API: 200'))
    expect(lines).toContainEqual(line('release job', 'shows the token', 'refused  payroll API: 401'))
    expect(lines).toContainEqual(line('sub-agent', 'asks for more', 'refused  Mayfly: 403'))
    expect(lines).toContainEqual(line('sub-agent', 'commits src/backdoor.ts', 'refused  GitHub: 403'))
    // git and the AWS SDK work as they are, and what git pushed with is dead.
    expect(stdout).toMatch(/nightly job +\$ mayfly exec --env handles [\s\S]*\| \$ git push --quiet\n/)
    expect(stdout).toContain('| secrets of GitHub or AWS in this environment: 0\n')
    expect(stdout).toMatch(/GitHub +took the push, by a token \(sha256 \w{8}\.\.\.\) that is dead by now\n/)
    // A write waits for a human, who is shown all of it, and is good for one credential.
    expect(lines).toContainEqual(line('upgrader', 'asks to read, and to write', 'waits    Mayfly: 202'))
    expect(lines).toContainEqual(line('upgrader', 'asks for the token to write', 'refused  Mayfly: 409'))
    expect(stdout).toMatch(/Olga +\$ mayfly approvals approve apr_\w+\n.*\n.*you own the agent/)
    expect(stdout).toMatch(/Cleo +\$ mayfly approvals approve apr_\w+ --reason announced\n/)
    expect(stdout).toMatch(/\| because: Routine bump\.⟨U\+202E⟩.*https\(:\)\/\/evil\(\.\)test/)
    expect(stdout).not.toMatch(/[\u202e\u200b]|https:\/\/evil/)
    expect(lines).toContainEqual(line('upgrader', 'commits to acme/api', 'allowed  GitHub: 201'))
    expect(lines).toContainEqual(line('upgrader', 'asks for a second token', 'refused  Mayfly: 409'))
    // A denial is a code and an id to its caller, and the rule with what it missed to whoever answers for it.
    expect(lines).toContainEqual(line('sub-agent', 'redeems it, to write', 'refused  Mayfly: 403'))
    expect(stdout).toMatch(/sub-agent +is told the code ask_denied, .* and dec_\w+\n/)
    expect(stdout).toContain('nearest agents-write-code: not when { context.depth == 0 }')
    // In quarantine what writes is dead, and what reads goes on.
    expect(lines).toContainEqual(line('upgrader', 'commits to acme/api again', 'refused  GitHub: 401'))
    expect(lines).toContainEqual(line('upgrader', 'reads acme/api again', 'allowed  GitHub: 200'))
    // What leaked is dead once it is reported, and its agent only reads.
    expect(lines).toContainEqual(line('thief', 'writes to acme/api with it', 'allowed  GitHub: 201'))
    expect(stdout).toMatch(/Olga +\$ mayfly leaked --yes [\s\S]*nightly is in quarantine: it may only read\n/)
    expect(lines).toContainEqual(line('thief', 'writes to acme/api again', 'refused  GitHub: 401'))
    // After the end each is dead, the child's with the parent's.
    for (const who of ['release job', 'coding agent', 'upgrader', 'sub-agent'])
      expect(lines).toContainEqual(line(who, 'reads acme/api again', 'refused  GitHub: 401'))
    for (const who of ['release job', 'sub-agent'])
      expect(lines).toContainEqual(line(who, 'lists orders again', 'refused  orders API: 401'))
    // What nobody can revoke is told with its time, and tried on both sides of it.
    expect(stdout).toMatch(/still lists: aws .*expiry_only, stops by itself at \d\d:\d\d:\d\d UTC/)
    expect(lines).toContainEqual(line('release job', 'reads s3://.* again', 'allowed  AWS: 200'))
    expect(lines).toContainEqual(line('release job', 'reads s3://.* again', 'refused  AWS: 403'))
    expect(stdout).toMatch(/GitHub +credentials given: [1-9]\d*, alive: 0\n/)
    expect(stdout).toMatch(/AWS +credentials given: [1-9]\d*, alive: 0\n/)

    expect(stdout).not.toContain('NOT AS PROMISED:')
    expect(stdout, 'no colour without a terminal').not.toContain('\x1b')
    expect(existsSync(folderIn(stdout))).toBe(false)
  })

  test('prints no secret', async () => {
    const printed: string[] = []
    let secrets: string[] = []
    const open = async () => {
      const stage = await openStage()
      const close = () => {
        secrets = stage.installation.aws
          .credentials()
          .flatMap(({ secretAccessKey, sessionToken }) => [secretAccessKey, sessionToken])
        return stage.close()
      }
      return { ...stage, close }
    }
    expect(await runDemo({ out: text => printed.push(text), color: false, open })).toBe(true)
    const text = printed.join('')
    expect(secrets.length).toBeGreaterThan(0)
    for (const secret of secrets) expect(text).not.toContain(secret)
    // Tokens by their form: a JWT's second part, GitHub's and Mayfly's own beyond the few characters shown.
    expect(text).not.toMatch(/eyJ[\w-]+\.[\w-]+/)
    expect(text).not.toMatch(/(ghs|mf[a-z])_\w{12}/)
  })
})

describe('the demo checks what it shows', () => {
  test('a credential that works after its end fails it', async () => {
    const printed = await failing(stage => ({
      ...stage,
      github: {
        ...stage.github,
        read: async (_token, repository) =>
          repository === 'acme/api'
            ? { from: 'GitHub', status: 200, words: 'OK' }
            : { from: 'GitHub', status: 404, words: 'Not Found' },
      },
    }))
    expect(printed).toContain(
      'NOT AS PROMISED: "coding agent reads acme/api again" should have been answered',
    )
    expect(printed).toContain('0 credentials outstanding, and 4 things were not as promised')
  })

  test('a report that ends nothing fails it', async () => {
    const printed = await failing(stage => {
      const piped: SecondTerminal['piped'] = (input, ...args) =>
        stage.olga.piped(input, ...args.filter(arg => arg !== '--yes'))
      return { ...stage, olga: { ...stage.olga, piped } }
    })
    expect(printed).toContain('NOT AS PROMISED: "mayfly leaked --yes')
    expect(printed).toContain('NOT AS PROMISED: "thief writes to acme/api again"')
  })

  test('a call outside the scope that succeeds fails it', async () => {
    const printed = await failing(stage => ({
      ...stage,
      payroll: { ...stage.payroll, list: async () => ({ from: 'payroll API', status: 200, words: 'OK' }) },
    }))
    expect(printed).toContain('NOT AS PROMISED: "release job shows the token to another API"')
  })

  test('an owner who is let through fails it, and so does an explanation without the nearest rule', async () => {
    const printed = await failing(({ olga, cleo, ...stage }) => {
      const mayfly: SecondTerminal['mayfly'] = (...args) =>
        (args[0] === 'approvals' ? cleo : olga).mayfly(...args)
      return { ...stage, cleo, olga: onScreen({ ...olga, mayfly }, text => text.replaceAll('nearest', '')) }
    })
    expect(printed).toContain('NOT AS PROMISED: nobody approves for an agent of their own')
    expect(printed).toContain('NOT AS PROMISED: explain names the rule that came nearest, and what it missed')
  })

  test('an approver who is not shown everything, or is talked to, and a write in quarantine, fail it', async () => {
    const printed = await failing(stage => ({
      ...stage,
      cleo: onScreen(stage.cleo, text =>
        text.replaceAll('"id": 1', '').replaceAll('https(:)//evil(.)test', 'https://evil.test'),
      ),
      github: {
        ...stage.github,
        write: async (token, repository, path) =>
          path === 'src/parser-2.ts'
            ? { from: 'GitHub', status: 201, words: 'Created' }
            : stage.github.write(token, repository, path),
      },
    }))
    expect(printed).toContain('NOT AS PROMISED: whoever approves is shown the repository by its id')
    expect(printed).toContain('NOT AS PROMISED: whoever approves is shown what the agent says, inert')
    expect(printed).toContain('NOT AS PROMISED: "upgrader commits to acme/api again"')
  })

  test('an agent that loses more than its writing fails it', async () => {
    const printed = await failing(({ olga, ...stage }) => ({
      ...stage,
      olga: {
        ...olga,
        mayfly: (...args) => olga.mayfly(...args.map(arg => (arg === 'quarantine' ? 'suspend' : arg))),
      },
    }))
    expect(printed).toContain('NOT AS PROMISED: "upgrader reads acme/api again"')
  })

  test('a world without policies fails it', async () => {
    const open = async () => {
      const stage = await openStage()
      await writeFile(
        join(stage.installation.directory, 'policies', 'demo.cedar'),
        '@id("all") permit (principal, action, resource);',
      )
      await stage.broker.reload()
      return stage
    }
    const printed: string[] = []
    await runDemo({ out: text => printed.push(text), color: false, open }).catch(() => {})
    expect(printed.join('')).toContain(
      'NOT AS PROMISED: "upgrader asks to read, and to write, acme/api" should have been answered with 202',
    )
  })

  test('a credential that the ledger does not know, and that lives on, fails it', async () => {
    const printed = await failing(stage => {
      const stray = {
        ...{ sha256: 'f'.repeat(64), installationId: 77, repositoryIds: [1], permissions: {} },
        ...{ userAgent: '', mintedAt: 0, expiresAt: Number.MAX_SAFE_INTEGER, alive: true },
      }
      const { github } = stage.installation
      const credentials = () => [...github.credentials(), stray]
      return {
        ...stage,
        installation: {
          ...stage.installation,
          github: Object.assign(Object.create(github), { credentials }),
        },
      }
    })
    expect(printed).toContain('NOT AS PROMISED: no credential is alive at GitHub')
    expect(printed).toContain('NOT AS PROMISED: the ledger knows every credential that a provider gave')
  })
})

describe('the command', () => {
  test('stopped by Ctrl-C says so, and leaves nothing behind', async () => {
    const handlers = new Map<string, () => void>()
    const printed: string[] = []
    const stopped = demo({
      ...bare,
      packageRoot: root,
      onSignal(signal: string, run: () => void) {
        handlers.set(signal, run)
        return () => handlers.delete(signal)
      },
      out(text: string) {
        printed.push(text)
        if (text.includes('listens on')) handlers.get('SIGINT')?.()
      },
    })
    await expect(stopped).rejects.toMatchObject({ message: 'the demo was stopped', exitCode: 130 })
    expect(existsSync(folderIn(printed.join('')))).toBe(false)
    expect(handlers.size).toBe(0)
  })

  test('without the stand-ins says where to find them', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'installed-'))
    try {
      await expect(demo({ ...bare, packageRoot: elsewhere })).rejects.toMatchObject({
        name: 'CommandError',
        message: expect.stringContaining('In a checkout: npm ci && npm run demo'),
      })
    } finally {
      await rm(elsewhere, { recursive: true })
    }
  })
})

const bare = {
  env: {},
  outIsTerminal: false,
  out() {},
  exitWith() {},
  onSignal: () => () => {},
}

/** The same human, whose screen shows something else. */
function onScreen(terminal: SecondTerminal, change: (text: string) => string): SecondTerminal {
  return {
    ...terminal,
    async mayfly(...args) {
      const ran = await terminal.mayfly(...args)
      return { ...ran, text: change(ran.text) }
    },
  }
}

/** Without git: its part takes longer than all others together, and nothing of it is changed here. */
async function failing(change: (stage: Stage) => Stage): Promise<string> {
  const printed: string[] = []
  const open = async () => change({ ...(await openStage()), servesGit: false })
  expect(await runDemo({ out: text => printed.push(text), color: false, open })).toBe(false)
  const text = printed.join('')
  expect(text.trimEnd().split('\n').at(-1)).not.toBe('0 credentials outstanding')
  return text
}

function runProgram(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ['src/main.ts', ...args], {
    cwd: root,
    env: { PATH: process.env.PATH },
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', chunk => {
    stdout += chunk
  })
  child.stderr.on('data', chunk => {
    stderr += chunk
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => resolve({ code, stdout, stderr }))
  })
}

/** A line of the timeline: who, the start of what (a pattern), the start of the answer. */
function line(who: string, what: string, answer: string) {
  return expect.stringMatching(new RegExp(`^ *\\d+ ms  ${who} +${what}.* ${answer} `))
}

function folderIn(printed: string): string {
  const folder = /its ledger in (\S+)\/data/.exec(printed)?.[1]
  expect(folder).toBeDefined()
  return folder!
}
