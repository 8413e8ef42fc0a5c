import { afterAll, beforeAll, expect, test } from 'vitest'
import { awsSts } from '../../issuers/aws-sts.ts'
import { ProviderUnavailable } from '../../issuers/issuer.ts'
import { GithubWorld } from './github-world.ts'
import { Clocks, hostDeps } from './stand-in.ts'

let world: GithubWorld

beforeAll(async () => {
  world = await GithubWorld.start()
})
afterAll(() => world.close())

const ceiling = (permissions: Record<string, 'read' | 'write'>) => ({
  repositories: [{ id: 42, name: 'acme/api' }],
  permissions,
})

test("what the App's installation gives and no ceiling needs is said, level by level", async () => {
  const surplus = await world.open().surplus?.([ceiling({ contents: 'write' }), ceiling({ issues: 'read' })])
  expect(surplus).toEqual([
    { where: 'acme', right: 'all repositories' },
    { where: 'acme', right: 'issues:write' },
    { where: 'acme', right: 'actions:read' },
  ])
})

test('GitHub out of reach is an outage, not an App without rights', async () => {
  world.github.faults = () => ({ status: 503 })
  await expect(world.open().surplus?.([])).rejects.toThrow(ProviderUnavailable)
  world.github.faults = () => 'ok'
})

test('roles of the list that nobody may ask for are idle', async () => {
  const [used, idle] = ['deploy', 'legacy'].map(name => `arn:aws:iam::123456789012:role/${name}`) as [
    string,
    string,
  ]
  const settings = awsSts.settings.parse({ region: 'eu-central-1', roles: [used, idle] })
  const issuer = awsSts.open(settings, hostDeps(new Clocks(), {}).deps)
  const needed = { role: used, statements: [], allow_role_chaining: false, allow_iam_writes: false }
  expect(await issuer.surplus?.([needed])).toEqual([{ where: idle, right: 'sts:AssumeRole' }])
})
