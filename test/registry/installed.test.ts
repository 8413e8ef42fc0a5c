import { expect, test } from 'vitest'
import { z } from 'zod'
import { type Attestor, defineAttestor } from '../../attestors/attestor.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { createInstalled, type InstalledOptions } from '../../src/registry/installed.ts'
import { newResource } from '../../src/registry/resource.ts'
import type { RegistryState } from '../../src/registry/state.ts'
import type { ResourceRow } from '../../src/store/rows.ts'
import { silent } from '../fakes/installation.ts'

/** A broker's installed attestors, each of which says when it was closed. */
function createStage() {
  const closed: string[] = []
  const make = (name: string): Attestor => ({
    recognises: () => false,
    attest: () => Promise.reject(new Error('nobody asks')),
    close: () => void closed.push(name),
  })
  const type = defineAttestor({
    type: 'streaming',
    settings: z.strictObject({ of: z.string() }),
    open: ({ of }) => make(of),
  })
  const options = {
    settings: { namespaces: { team: { attestor_types: ['streaming'], issuer_types: [] } } },
    types: { attestorTypes: [type], issuerTypes: [] },
    opened: { attestors: new Map([['own', make('own')]]), issuers: new Map(), issuerDigests: new Map() },
    openers: {
      attestor: (_name: string, { settings }: { settings: { of: string } }) => make(settings.of),
    },
  } as unknown as InstalledOptions // no more of it is looked at
  const installed = createInstalled(options)
  const broker = { log: silent } as unknown as Broker // nor of this
  let generation = 0
  const install = (attestors: Readonly<Record<string, string>>) => {
    generation += 1
    const rows = new Map(Object.entries(attestors).map(([name, of]) => [`attestor/${name}`, rowOf(name, of)]))
    installed.install(broker, { generation, head: undefined, rows, secrets: [] } as RegistryState, undefined)
  }
  return { closed, installed, install }
}

function rowOf(name: string, of: string): ResourceRow {
  const { kind, namespace, document, digest } = newResource('attestor', name, {
    type: 'streaming',
    settings: { of },
  })
  return {
    ...{ kind, name, namespace, digest, document: JSON.stringify(document), mac: digest },
    ...{ version: 1, managed_by: 'api', state: 'registered', current: 1, generation: 1 },
    ...{ actor: 'somebody', reason: 'why not', at: 0 },
  }
}

test('an attestor is closed when another takes its place, and when it is gone; what stays stays open', () => {
  const { closed, installed, install } = createStage()
  install({ 'team.a': 'a, first', 'team.b': 'b' })
  expect([...installed.attestors.keys()]).toEqual(['own', 'team.a', 'team.b'])
  const kept = installed.attestors.get('team.b')
  install({ 'team.a': 'a, second', 'team.b': 'b' })
  expect(closed).toEqual(['a, first'])
  expect(installed.attestors.get('team.b')).toBe(kept)
  install({ 'team.b': 'b' })
  expect(closed).toEqual(['a, first', 'a, second'])
  install({})
  expect(closed).toEqual(['a, first', 'a, second', 'b'])
  expect([...installed.attestors.keys()]).toEqual(['own'])
})
