import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { expect, test } from 'vitest'

const BIN = join(import.meta.dirname, '../../bin/mayfly.js')

/** A Node of this machine that is too old, if there is one. */
const old = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/bin', '/usr/bin']
  .map(folder => join(folder, 'node'))
  .find(node => existsSync(node) && Number(/^v(\d+)/.exec(version(node))?.[1] ?? 24) < 24)

function version(node: string): string {
  return spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout ?? ''
}

test('bin/mayfly.js runs the program', () => {
  expect(execFileSync(process.execPath, [BIN, '--version'], { encoding: 'utf8' })).toMatch(
    /^\d+\.\d+\.\d+\n$/,
  )
})

test('on an old Node it says so, and nothing else', context => {
  if (old === undefined) return context.skip('this machine has no Node older than 24')
  const { status, stdout, stderr } = spawnSync(old, [BIN, 'check'], { encoding: 'utf8' })
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toContain('needs Node 24 or newer')
  expect(stderr).toContain('npm ci')
  expect(stderr).not.toContain('    at ')
})

test('help names every command and its exit codes, and wrong words are a wrong command line', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [BIN, ...args], { encoding: 'utf8' })
  const help = run('--help')
  expect(help.status).toBe(0)
  for (const command of ['serve', 'check', 'task', 'token', 'exec', 'operator', 'leases', 'revoke', 'demo'])
    expect(help.stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'))
  expect(help.stdout).toContain(
    'Exit codes: 0 done, 1 failed, 2 the command line is wrong, 3 denied, 4 unavailable',
  )
  expect(run('exec', '--help').stdout).toContain('github=acme/api+acme/web:contents:write,issues:read')
  expect(run('tokn')).toMatchObject({ status: 2, stderr: expect.stringContaining("unknown command 'tokn'") })
  expect(run('serve', '--config', '/no/such.yaml')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('/no/such.yaml'),
  })
})
