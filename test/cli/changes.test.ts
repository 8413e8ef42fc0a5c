import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { namespaces, registryOf } from '../registry/team.ts'
import { sessionOf } from '../support/session.ts'
import { type Begun, createShell, type Shell } from './mayfly.ts'

let installation: PeopledInstallation
let broker: RunningServer
let shell: Shell

beforeAll(async () => {
  installation = await createPeopledInstallation({
    settings: { namespaces },
    operators: { dual_control: { policies: true } },
  })
  broker = await startBroker(installation)
  shell = await createShell({ MAYFLY_OPERATOR_URL: broker.url })
})
afterAll(async () => {
  await shell.close()
  await broker.stop()
  await installation.close()
})

const ADDRESS = /sign in at:\n\s+(\S+)/
async function signIn(running: Begun, id: string) {
  await installation.people.human(id).visit(await running.reads(ADDRESS))
  return running.ended
}

test('a second human sees all of a change, signs in for it, and it is applied', async () => {
  const registry = registryOf(broker.url, await sessionOf(broker, installation, 'ada'))
  // An escape that would hide the rest of the line from whoever reads it on a terminal.
  const text = '@id("payments.long") forbid (principal, action, resource) when { context.ttlSeconds > 7200 };'
  const documents = [{ kind: 'policy', name: 'payments.long', text: `// \u009b8m\n${text}` }]
  const planned = await registry.plan({ documents })
  const id_token = await installation.signInAs('ada', { boundTo: planned.body.digest })
  const { pending } = (await registry.apply({ documents }, planned.body, { id_token })).body

  expect((await signIn(shell.begin(['login']), 'bo')).code).toBe(0)
  expect((await shell.ok(['changes'])).out).toMatch(new RegExp(`${pending} +policies +pending`))
  const approved = await signIn(shell.begin(['change', 'approve', pending]), 'bo')
  expect([approved.code, approved.err]).toEqual([0, expect.stringContaining('sign in at')])
  expect(approved.out).toContain('context.ttlSeconds > 7200')
  expect(approved.out).toContain('\\u{9b}8m')
  expect(approved.out).not.toContain('\u009b')
  expect(approved.out).toContain(`${pending} is applied.`)
  expect((await shell.fails(1, ['change', 'approve', pending])).err).toContain('applied already')
  expect((await shell.fails(1, ['change', 'deny', pending, '--reason', 'late'])).err).toContain(
    'approval_over',
  )
})

test('whoever proposes is told the command for the second human, as it is', async () => {
  const text = '@id("payments.short") forbid (principal, action, resource) when { context.ttlSeconds > 600 };'
  const file = join(shell.home, 'payments.short.cedar')
  await writeFile(file, text)
  const proposed = await signIn(shell.begin(['apply', '-f', file, '--reason', 'shorter']), 'bo')
  const [, command] = /agrees with: mayfly (change approve chg_\w+)/.exec(proposed.out) ?? []
  expect(command, proposed.out + proposed.err).toBeDefined()
  // The same human is refused, which says that there is such a command.
  const again = await signIn(shell.begin(command!.split(' ')), 'bo')
  expect(again.err).toContain('another human than the one who proposed it must agree')
})
