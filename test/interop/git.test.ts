/** The laptop of docs/git.md, as it is written there: nothing but processes of `mayfly` and git. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { createGit, type Git } from '../cli/git-helper.ts'
import { type GitServer, startGitServer } from '../fakes/git-server/git-server.ts'
import { createInstallation, type Installation, startBroker } from '../fakes/installation.ts'

let installation: Installation
let broker: RunningServer
let server: GitServer
let git: Git

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  const repositories = [{ id: 1, name: 'acme/api' }]
  server = await startGitServer({ github: installation.github, repositories })
  git = await createGit()
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), server?.close(), git?.close()])
})

test('a task is opened, a repository cloned and pushed to, and everything is dead', async () => {
  const docs = readFileSync(join(import.meta.dirname, '../../docs/git.md'), 'utf8')
  const blocks = (heading: string) =>
    [...docs.split(`## ${heading}\n`)[1]!.matchAll(/```sh\n(.*?)```/gs)].map(([, block]) =>
      block!.replaceAll('https://github.com', server.url),
    )
  const svid = join(git.home, 'svid')
  await writeFile(svid, installation.svid('spiffe://acme.test/agent/coder'))
  const env = { MAYFLY_URL: broker.url, MAYFLY_EVIDENCE_FILE: svid }
  const laptop = blocks('On a laptop')[0]!
  const work = 'cd api && echo more >> README.md && git commit -qam more && git push -q && cd ..'
  const command = `${blocks('Setting it up')[0]}\n${laptop.replace('mayfly task complete', `${work}\nmayfly task complete`)}`
  const { code, out, err } = await git.shell(command, { env, real: true })
  expect(code, err).toBe(0)
  expect(err).toBe("Cloning into 'api'...\n")
  expect(out).toMatch(/task tsk_\w+ completed, 2 credentials gone\n$/)
  expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  const { out: log } = await git.shell(`git -C ${server.pathOf('acme/api')} log --format=%s main`)
  expect(log).toBe('more\nfirst\n')
})
