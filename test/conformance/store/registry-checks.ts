import assert from 'node:assert/strict'
import type { RegistryRow, ResourceRow } from '../../../src/store/rows.ts'
import { activeLease, holding, lease, type StoreCheck, start } from './subject.ts'

const head = (generation: number): RegistryRow => ({
  generation,
  resources_digest: `resources of ${generation}`,
  files_digest: null,
  changed_at: start,
  mac: 'mac',
})

function resource(name: string, version: number, over: Partial<ResourceRow> = {}): ResourceRow {
  return {
    kind: 'agent',
    name,
    version,
    namespace: null,
    managed_by: 'file',
    state: 'registered',
    current: 1,
    document: `{"version":${version}}`,
    digest: 'digest',
    generation: version,
    actor: 'broker',
    reason: 'files',
    at: start,
    mac: 'mac',
    ...over,
  }
}

const secret = (name: string, bytes: number[], resource = 'pay.github') => ({
  ...({ kind: 'issuer', resource, name, at: start } as const),
  sealed: new Uint8Array(bytes),
})

export const registryChecks: StoreCheck[] = [
  {
    name: 'the registry begins with nothing, and registrations come one after another',
    async run({ ledger }) {
      assert.equal(await ledger.read.registry(), undefined)
      const raise = () =>
        ledger.write(async tx => {
          const before = await tx.lockRegistry()
          const generation = (before?.generation ?? 0) + 1
          await tx.setRegistry(head(generation))
          return generation
        })
      assert.deepEqual((await Promise.all([raise(), raise(), raise()])).sort(), [1, 2, 3])
      assert.deepEqual({ ...(await ledger.read.registry()) }, head(3))
      assert.equal(await ledger.write(tx => tx.registryGeneration()), 3)
    },
  },
  {
    name: 'a ledger in which nothing was registered is of generation 0',
    async run({ ledger }) {
      assert.equal(await ledger.write(tx => tx.registryGeneration()), 0)
      assert.equal(await ledger.write(tx => tx.lockRegistry()), undefined)
      assert.equal(await ledger.read.registry(), undefined)
    },
  },
  {
    name: 'a resource is what its latest version says, and its versions are kept',
    async run({ ledger }) {
      await ledger.write(async tx => {
        await tx.lockRegistry()
        await tx.putResource(resource('release', 1))
        await tx.putResource(resource('release', 1, { kind: 'issuer' }))
        await tx.putResource(resource('pay.coder', 1, { namespace: 'pay', managed_by: 'api' }))
      })
      await ledger.write(tx => tx.putResource(resource('release', 2)))
      const now = await ledger.read.resources()
      assert.deepEqual(
        now.map(row => [row.kind, row.name, row.version]),
        [
          ['agent', 'pay.coder', 1],
          ['agent', 'release', 2],
          ['issuer', 'release', 1],
        ],
      )
      assert.deepEqual({ ...(await ledger.read.resource('agent', 'release')) }, resource('release', 2))
      const versions = await ledger.read.resourceVersions('agent', 'release', { limit: 10 })
      assert.deepEqual(
        versions.map(row => [row.version, row.current]),
        [
          [2, 1],
          [1, 0],
        ],
      )
      const [older] = await ledger.read.resourceVersions('agent', 'release', { limit: 1, after: 2 })
      assert.equal(older?.version, 1)
      assert.deepEqual(await ledger.read.resourceVersions('agent', 'nobody', { limit: 10 }), [])
    },
  },
  {
    name: 'what was removed is in no list, and is still known',
    async run({ ledger }) {
      await ledger.write(tx => tx.putResource(resource('release', 1)))
      await ledger.write(tx => tx.putResource(resource('release', 2, { state: 'removed' })))
      assert.deepEqual(await ledger.read.resources(), [])
      assert.equal((await ledger.read.resource('agent', 'release'))?.state, 'removed')
      assert.equal(await ledger.read.resource('agent', 'nobody'), undefined)
    },
  },
  {
    name: 'files are remembered, with the generation that last put them in force',
    async run({ ledger }) {
      const files = { digest: 'one', version: 1, generation: 1, at: start }
      await ledger.write(tx => tx.putFileSet(files))
      await ledger.write(tx => tx.putFileSet({ ...files, generation: 4, at: start + 9 }))
      assert.deepEqual({ ...(await ledger.read.fileSet('one')) }, { ...files, generation: 4, at: start + 9 })
      assert.equal(await ledger.read.fileSet('other'), undefined)
    },
  },
  {
    name: "an instance's secrets are replaced by name and go with it, and with nothing else",
    async run({ ledger }) {
      await ledger.write(async tx => {
        await tx.putResourceSecret(secret('key', [1]))
        await tx.putResourceSecret(secret('old', [2]))
        await tx.putResourceSecret(secret('key', [3], 'pay.other'))
      })
      await ledger.write(async tx => {
        await tx.putResourceSecret(secret('key', [4]))
        await tx.deleteResourceSecrets('issuer', 'pay.github', ['key'])
      })
      const left = (await ledger.read.resourceSecrets()).map(row => [row.resource, row.name, ...row.sealed])
      assert.deepEqual(left, [
        ['pay.github', 'key', 4],
        ['pay.other', 'key', 3],
      ])
      await ledger.write(tx => tx.deleteResourceSecrets('issuer', 'pay.github', []))
      assert.equal((await ledger.read.resourceSecrets()).length, 1)
    },
  },
  {
    name: 'an issuer has leases outstanding until each is closed',
    async run({ ledger }) {
      await holding(ledger, lease('l', 't'), activeLease('m', 't', { issuer: 'jwt' }))
      assert.equal(await ledger.write(tx => tx.hasOutstanding('github')), true)
      await ledger.write(tx => tx.closeLease('l', null, { closed_as: 'never_minted' }))
      assert.equal(await ledger.write(tx => tx.hasOutstanding('github')), false)
      assert.equal(await ledger.write(tx => tx.hasOutstanding('jwt')), true)
    },
  },
]
