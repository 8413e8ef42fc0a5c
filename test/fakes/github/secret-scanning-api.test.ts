/** What GitHub tells an App of an alert; each answer is held against GitHub's description on the way. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createWorld, refusal, type World } from './fixture.ts'

let world: World
let number: number

beforeAll(async () => {
  world = await createWorld()
  const permissions = { contents: 'write', secret_scanning_alerts: 'read' }
  world.github.changeInstallation(77, { permissions })
  number = world.github.addSecretAlert({ repository: 1, secret: 'a secret of somebody' })
})
afterAll(() => world.github.close())

const ROUTE = 'GET /repos/{owner}/{repo}/secret-scanning/alerts/{alert_number}'
const ask = async (parameters: object, permissions: object = { secret_scanning_alerts: 'read' }) =>
  world.call(await world.token({ permissions }), ROUTE, { owner: 'acme', repo: 'api', ...parameters })

test('an alert tells what was found, to whoever may read alerts', async () => {
  const data = { number, state: 'open', secret: 'a secret of somebody' }
  expect(await ask({ alert_number: number })).toMatchObject({ status: 200, data })
  const token = await world.token({ permissions: { secret_scanning_alerts: 'read' } })
  const route = `GET /repositories/1/secret-scanning/alerts/${number}`
  expect(await world.call(token, route)).toMatchObject({ status: 200, data })
})

test('and to nobody else', async () => {
  const refused = await ask({ alert_number: number }, { contents: 'read' })
  expect(refused).toMatchObject(refusal(403, 'Resource not accessible by integration'))
  expect(await world.call(undefined, `GET /repositories/1/secret-scanning/alerts/${number}`)).toMatchObject({
    status: 404,
  })
})

test('no such alert, and one whose secret is not wanted', async () => {
  expect(await ask({ alert_number: 999 })).toMatchObject(refusal(404, 'Not Found'))
  const hidden = await ask({ alert_number: number, hide_secret: true })
  expect(hidden.data).not.toHaveProperty('secret')
})

test('a delivery tells of it without the secret', () => {
  const { headers, body } = world.github.delivery(
    { alert: number, repository: 1 },
    'key',
    'https://github.test',
  )
  expect(headers['x-github-event']).toBe('secret_scanning_alert')
  expect(JSON.parse(body)).toMatchObject({ action: 'created', alert: { number }, repository: { id: 1 } })
  expect(body).not.toContain('a secret of somebody')
})
