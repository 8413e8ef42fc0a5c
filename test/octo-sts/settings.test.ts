/** The section `octo_sts`: off where it is absent, and accepted whole or refused by its key. */
import { readdir, readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import { loadSettings } from '../../src/config.ts'
import type { RunningServer } from '../../src/server.ts'
import { startBroker } from '../fakes/installation.ts'
import { createOctoInstallation, DOMAIN, type OctoInstallation, ownerSettings } from './octo-installation.ts'

let installation: OctoInstallation
let broker: RunningServer
beforeAll(async () => {
  installation = await createOctoInstallation()
  await installation.configureOcto({}, { octo_sts: undefined })
  broker = await startBroker(installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

test('without the section nothing of it is there', async () => {
  for (const path of ['/', '/sts/exchange', '/sts/exchange_refresh_token'])
    expect((await fetch(broker.url + path)).status).toBe(404)
})

const load = async (octoSts: object, more: object = {}) => {
  await installation.configureOcto({}, { octo_sts: octoSts, ...more })
  const files = {
    readFile: (path: string) => readFile(path, 'utf8'),
    listDir: (path: string) => readdir(path),
  }
  return loadSettings(installation.configPath, files, { attestorTypes, issuerTypes })
}
const section = (owner: object = {}, changes: object = {}) => ({
  ...{ domain: DOMAIN, namespace: 'octo', owners: { acme: { ...ownerSettings(), ...owner } } },
  ...changes,
})

test('a good section has what it does not say filled in', async () => {
  const { settings } = await load(section())
  expect(settings.octo_sts).toMatchObject({
    organization_repository: '.github',
    owners: { acme: { trusted_issuers_file: true, events: [], limits: { task_minutes: 60 } } },
  })
})

test.each([
  ['namespace', section({}, { namespace: 'nowhere' })],
  ['owners', section({}, { owners: {} })],
  ['owners', section({}, { owners: { acme: ownerSettings(), Acme: ownerSettings() } })],
  ['owners.a/b', section({}, { owners: { 'a/b': ownerSettings() } })],
  ['domain', section({}, { domain: 'https://mayfly.test' })],
  ['owners.acme.issuer', section({ issuer: 'jwt' })],
  ['owners.acme.attestors[0]', section({ attestors: ['nobody'] })],
  ['owners.acme.ceiling.permissions', section({ ceiling: { permissions: {} } })],
  ['owners.acme.ceiling.permissions.content', section({ ceiling: { permissions: { content: 'read' } } })],
  [
    'owners.acme.ceiling.repositories[0]',
    section({ ceiling: { permissions: { contents: 'read' }, repositories: ['acme/api'] } }),
  ],
  ['owners.acme.expires_at', section({ expires_at: 'soon' })],
  ['owners.acme.narrow', section({ narrow: true })],
])('%s is refused by its key', async (key, octoSts) => {
  await expect(load(octoSts)).rejects.toThrow(`octo_sts.${key}: `)
})

test.each([
  ['another', { issuers: ['aws'] }],
  ['none', {}],
])('an issuer that the namespace may not use is refused where it may use %s', async (_, issuers) => {
  const more = { namespaces: { octo: { owners: ['platform'], ...issuers } } }
  await expect(load(section(), more)).rejects.toThrow(
    'octo_sts.owners.acme.issuer: expected one that namespaces.octo.issuers lists',
  )
})

test('a second ceiling beside the owners’ is refused', async () => {
  const ceiling = [{ repositories: ['acme/api'], permissions: { contents: 'read' } }]
  const more = { namespaces: { octo: { owners: ['platform'], issuers: { github: { ceiling } } } } }
  await expect(load(section(), more)).rejects.toThrow('octo_sts.owners.acme.issuer: expected no ceiling in')
})
