/** The humans of the demo, as their identity provider knows them. Groups say what they may do. */
import type { Person } from '../test/fakes/identity/operator-provider.ts'

/** Olga's team owns the agents. She is a release manager too, and that is not enough for what is her own. */
export const OLGA = {
  id: 'olga',
  name: 'Olga',
  groups: ['mayfly-owner', 'mayfly-approver', 'release-managers', 'product@acme.test'],
} as const satisfies Person

/** Cleo is of another team. */
export const CLEO = {
  id: 'cleo',
  name: 'Cleo',
  groups: ['mayfly-approver', 'release-managers'],
} as const satisfies Person

/** Vera looks on. */
export const VERA = { id: 'vera', name: 'Vera', groups: ['mayfly-viewer'] } as const satisfies Person

/** Paul's team registers what is its own, in its namespace. */
export const PAUL = {
  id: 'paul',
  name: 'Paul',
  groups: ['mayfly-platform', 'payments'],
} as const satisfies Person

/** Ada runs the installation. */
export const ADA = { id: 'ada', name: 'Ada', groups: ['mayfly-admin'] } as const satisfies Person
