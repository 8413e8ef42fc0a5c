import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { OPERATOR_ACTIONS } from '../../src/broker/people/operator.ts'
import type { Roles } from '../../src/broker/people/people.ts'
import { namespacesShape } from '../../src/config/namespaces.ts'
import { operatorsShape } from '../../src/config/operators.ts'
import { openRoles } from '../../src/open-roles.ts'
import { SHIPPED_ROLES } from '../../src/policy/roles/shipped.ts'
import { memoryFiles } from '../config/memory-files.ts'

const namespaces = namespacesShape.parse({ payments: { owners: ['payments-team'] } })
const open = (operators: object = {}, files = {}): Promise<Roles> =>
  openRoles({ operators: operatorsShape.parse(operators), namespaces }, memoryFiles(files))

async function may(roles: Roles, groups: string[], on: object = {}): Promise<string[]> {
  const allowed: string[] = []
  for (const action of OPERATOR_ACTIONS) {
    const operator = { id: 'https://idp.test#ada', groups }
    if ((await roles.judge({ operator, action, on })).allowed) allowed.push(action)
  }
  return allowed
}

describe('the shipped roles', () => {
  test('are the file that is shipped', async () => {
    const file = join(import.meta.dirname, '../../config/roles/roles.cedar')
    expect(SHIPPED_ROLES).toBe(await readFile(file, 'utf8'))
  })

  const team = { agent: 'release', owner: 'product' }
  const own = { namespace: 'payments' }
  test.each<[string[], object, string[]]>([
    [[], {}, []],
    [['strangers', 'admin', 'Mayfly::Role::"admin"', 'mayfly-admin"'], {}, []],
    [['mayfly-viewer'], {}, ['read']],
    [['mayfly-approver'], {}, ['read', 'approve']],
    [['mayfly-owner', 'product'], {}, ['read']],
    [['mayfly-owner', 'product'], team, ['read', 'revoke', 'narrow', 'widen']],
    [['mayfly-owner', 'web'], team, ['read']],
    [['product'], team, []],
    [['mayfly-platform', 'payments-team'], {}, ['read', 'drill']],
    [['mayfly-platform', 'payments-team'], own, ['read', 'revoke', 'drill', 'narrow', 'widen', 'register']],
    [['mayfly-platform', 'payments'], own, ['drill']],
    [['mayfly-admin'], {}, OPERATOR_ACTIONS.filter(action => action !== 'approve')],
    [['mayfly-admin', 'mayfly-approver'], {}, [...OPERATOR_ACTIONS]],
  ])('let %j on %j do %j', async (groups, on, actions) => {
    expect(await may(await open(), groups, on)).toEqual(actions)
  })

  test('are for the groups that the settings name', async () => {
    const roles = await open({ roles: { admin: ['root'], viewer: [] }, teams: { product: ['product-devs'] } })
    expect(await may(roles, ['mayfly-admin'])).toEqual([])
    expect(await may(roles, ['mayfly-viewer'])).toEqual([])
    expect(await may(roles, ['root'])).toContain('configure')
    expect(await may(roles, ['mayfly-owner', 'product-devs'], team)).toContain('narrow')
  })
})

describe('roles of one’s own', () => {
  const from = (text: string) =>
    open({ roles_dir: 'roles' }, { 'roles/one.cedar': text, 'roles/README.md': 'x' })

  test('may name one human, by issuer and subject', async () => {
    const roles = await from(
      '@id("ada") permit (principal == Mayfly::Operator::"https://idp.test#ada", action == Mayfly::Action::"read", resource);',
    )
    expect(await may(roles, [])).toEqual(['read'])
    const other = { id: 'https://idp.test#eve', groups: [] }
    expect((await roles.judge({ operator: other, action: 'read', on: {} })).allowed).toBe(false)
  })

  test('may forbid what others permit', async () => {
    const roles = await from(
      `${SHIPPED_ROLES}\n@id("leaver") forbid (principal in Mayfly::Group::"leavers", action, resource);`,
    )
    expect(await may(roles, ['mayfly-admin', 'leavers'])).toEqual([])
  })

  // Cedar passes over a forbid that errs: an overflow would have let them in.
  test('that err deny', async () => {
    const roles = await from(
      `@id("all") permit (principal, action, resource);
       @id("errs") forbid (principal, action, resource) when { 9223372036854775807 + 1 > 0 };`,
    )
    expect(await may(roles, ['mayfly-admin'])).toEqual([])
  })

  test.each([
    ['without an id', 'permit (principal, action, resource);'],
    [
      'with one id for two',
      '@id("a") permit (principal, action, resource); @id("a") permit (principal, action, resource);',
    ],
    [
      'with an action that is none',
      '@id("a") permit (principal, action == Mayfly::Action::"mint", resource);',
    ],
    [
      'with an attribute that is none',
      '@id("a") permit (principal, action, resource) when { principal.mail == "x" };',
    ],
    [
      'with an optional attribute unasked',
      '@id("a") permit (principal, action, resource) when { principal in resource.team };',
    ],
    [
      'nested without end',
      `@id("a") permit (principal, action, resource) when { ${'('.repeat(200)}true${')'.repeat(200)} };`,
    ],
    ['that are no Cedar', 'allow everything'],
  ])('are refused %s', async (_, text) => {
    await expect(from(text)).rejects.toThrow(/operators\.roles_dir/)
  })

  test('are refused where there are none', async () => {
    await expect(open({ roles_dir: 'roles' }, { 'roles/README.md': 'x' })).rejects.toThrow(/\.cedar/)
    await expect(open({ roles_dir: 'elsewhere' })).rejects.toThrow(/can be read/)
  })
})
