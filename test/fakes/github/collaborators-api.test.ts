/** What GitHub tells an App of one user's access; each answer is held against GitHub's description on the way. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createWorld, refusal, type World } from './fixture.ts'

let world: World

beforeAll(async () => {
  world = await createWorld()
  world.github.setCollaborator(1, { login: 'Hanna', id: 4711, role: 'maintain' })
  world.github.setCollaborator(1, { login: 'otto', role: 'release-manager', permission: 'write' })
})
afterAll(() => world.github.close())

const ROUTE = 'GET /repos/{owner}/{repo}/collaborators/{username}/permission'
const ask = async (repo: string, username: string, body: Record<string, unknown> = {}) => {
  const token = await world.token({ permissions: { metadata: 'read' }, ...body })
  return world.call(token, ROUTE, { owner: 'acme', repo, username })
}

test.each([
  ['api', 'hanna', { permission: 'write', role_name: 'maintain' }],
  ['api', 'otto', { permission: 'write', role_name: 'release-manager' }],
  // An account without access: nothing where it is private, reading where everybody may.
  ['web', 'hanna', { permission: 'none', role_name: 'none' }],
  ['docs', 'hanna', { permission: 'read', role_name: 'read' }],
])('%s, %s', async (repo, username, data) => {
  expect(await ask(repo, username)).toMatchObject({ status: 200, data })
})

test('the account is named as GitHub has it', async () => {
  expect(await ask('api', 'HANNA')).toMatchObject({ data: { user: { login: 'Hanna', id: 4711 } } })
})

test('by the repository’s number, too', async () => {
  const token = await world.token({ permissions: { metadata: 'read' } })
  const route = 'GET /repositories/1/collaborators/hanna/permission'
  expect(await world.call(token, route)).toMatchObject({ status: 200, data: { role_name: 'maintain' } })
})

test('nobody’s account, and a repository out of the token’s reach', async () => {
  expect(await ask('api', 'nobody')).toMatchObject(refusal(404, /not a user/))
  expect(await ask('web', 'hanna', { repository_ids: [1] })).toMatchObject(refusal(404, 'Not Found'))
})

test('who was removed has nothing', async () => {
  world.github.removeCollaborator(1, 'otto')
  expect(await ask('api', 'otto')).toMatchObject({ data: { permission: 'none' } })
})
