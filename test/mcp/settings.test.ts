/** Whether settings of git and AWS lead to the server: those of the guide do, and what is missing is named. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { judgeAws, judgeGit, type Reached } from '../../src/cli/mcp-settings.ts'

const DOCS = readFileSync(join(import.meta.dirname, '../../docs/mcp.md'), 'utf8')
const block = (language: string, index: number) =>
  [...DOCS.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))][index]![1]!

const socket = '/home/ada/.local/state/mayfly/mcp.sock'
const plain: Reached = { socket, home: '/home/ada', inherited: undefined }
const given: Reached = { ...plain, inherited: socket }
const HOST = 'github.com'

/** As `git config --null --list` prints them. */
const listing = (...settings: [string, string][]) =>
  settings.map(([key, value]) => `${key}\n${value}\0`).join('')
const useHttpPath = ['credential.https://github.com.usehttppath', 'true'] as [string, string]
const helper = (value: string, scope = 'credential.https://github.com.helper'): [string, string] => [
  scope,
  value,
]

describe('git', () => {
  test('as in the guide', () => {
    const [, line] = /--add credential\.https:\/\/github\.com\.helper '(.+)'\n/.exec(block('sh', 1))!
    expect(
      judgeGit(
        listing(helper('osxkeychain', 'credential.helper'), helper(''), helper(line!), useHttpPath),
        HOST,
        plain,
      ),
    ).toEqual({
      ready: true,
      says: 'works as it is on github.com',
    })
    const other = { ...plain, socket: '/home/ada/other.sock' }
    expect(judgeGit(listing(helper(line!), useHttpPath), HOST, other).says).toContain('names another socket')
  })

  const ours = helper('!mayfly git-credential')
  test.each<[string, string | undefined, string, Reached]>([
    ['no git', undefined, 'cannot be read', plain],
    ['nothing', '', 'is not its helper', plain],
    [
      'another host',
      listing(helper('!mayfly git-credential', 'credential.https://ghe.acme.test.helper')),
      'is not its helper',
      plain,
    ],
    ['taken away again', listing(ours, helper('')), 'is not its helper', given],
    ['another first', listing(helper('store', 'credential.helper'), ours, useHttpPath), 'asked first', given],
    ['no path', listing(ours), 'useHttpPath', given],
    ['no socket', listing(ours, useHttpPath), `MAYFLY_SOCKET=${socket}`, plain],
  ])('%s', (_name, settings, why, reached) => {
    const { ready, says } = judgeGit(settings, HOST, reached)
    expect([ready, says]).toEqual([false, expect.stringContaining(why)])
  })

  test('where commands have the socket in their environment', () => {
    expect(judgeGit(listing(ours, useHttpPath), HOST, given).ready).toBe(true)
    // Another helper may follow: git asks it where ours says nothing.
    expect(judgeGit(listing(ours, helper('store'), useHttpPath), HOST, given).ready).toBe(true)
  })

  test('what another helper holds is not quoted', () => {
    const telling = listing(helper('!echo password=s3cr3t'), ours, useHttpPath)
    expect(judgeGit(telling, HOST, given).says).not.toContain('s3cr3t')
  })
})

describe('AWS', () => {
  const file = (text: string) => ({ path: '/home/ada/.aws/config', text })
  test('as in the guide', () => {
    expect(judgeAws(file(block('ini', 0)), given)).toMatchObject({ ready: true, profiles: ['mayfly'] })
    expect(judgeAws(file(block('ini', 1)), plain)).toMatchObject({ ready: true, profiles: ['mayfly'] })
  })
  test('what is missing', () => {
    expect(judgeAws(file(block('ini', 0)), plain).says).toContain(`MAYFLY_SOCKET=${socket}`)
    expect(judgeAws(undefined, plain).says).toContain('no profile in ~/.aws/config')
    const other = '[default]\nregion = eu-central-1\ncredential_process = aws-vault export work\n'
    expect(judgeAws(file(other), given)).toMatchObject({ ready: false, profiles: [] })
  })
})
