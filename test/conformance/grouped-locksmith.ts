/** The locksmith's keys ended by a list of names instead of one by one, and lists that are kept wrongly. */
import { type Issuer, type KeepOthers, ProviderUnavailable } from '../../issuers/issuer.ts'
import type { Change, DoorAsk, Locksmith } from './locksmith.ts'

type Grouped = Required<Pick<Issuer<DoorAsk>, 'group' | 'revokeGroup'>>

/** Sound in every rule. */
export const grouped: Change = (_, locksmith) => soundGroup(locksmith)

function soundGroup(locksmith: Locksmith): Grouped & Partial<Issuer<DoorAsk>> {
  return {
    revocability: 'propagating',
    group: () => 'all doors',
    revoke: async () => {
      throw new Error('keys are ended by the list')
    },
    async revokeGroup(_group, members, until, keep) {
      if (locksmith.now >= until) throw new ProviderUnavailable('too late to write the list')
      const named = members.map(({ lease }) => lease)
      const others = locksmith.listed().filter(lease => !named.includes(lease))
      const kept = (await keep?.(others)) ?? []
      try {
        locksmith.list([...named, ...kept.map(({ lease }) => lease)])
      } catch (cause) {
        throw new ProviderUnavailable('the locksmith gave no answer', { cause })
      }
      return { left: [] }
    },
  }
}

const wrongly = (change: (sound: Grouped, locksmith: Locksmith) => Partial<Issuer<DoorAsk>>): Change => {
  return (_, locksmith) => {
    const sound = soundGroup(locksmith)
    return { ...sound, ...change(sound, locksmith) }
  }
}

/** Rule, as its name begins, and what breaks it. */
export const wrongGroups: [rule: string, change: Change][] = [
  ['group and revokeGroup come together', wrongly(({ revokeGroup }) => ({ revokeGroup, group: () => '' }))],
  [
    'group and revokeGroup come together',
    wrongly(() => {
      let calls = 0
      return { group: () => `group ${calls++}` }
    }),
  ],
  [
    'a group ends whoever is named',
    // Adds to what is there, and never takes out.
    wrongly(({ revokeGroup }) => {
      const named: Parameters<Grouped['revokeGroup']>[1][number][] = []
      return {
        revokeGroup(group, members, until, keep) {
          named.push(...members)
          return revokeGroup(group, named, until, keep)
        },
      }
    }),
  ],
  [
    'a group ends whoever is named',
    wrongly(({ revokeGroup }) => ({
      revokeGroup: (group, members, until, keep) => revokeGroup(group, members.slice(0, 1), until, keep),
    })),
  ],
  [
    'others that are to be kept',
    wrongly(({ revokeGroup }) => ({
      revokeGroup: (group, members, until) => revokeGroup(group, members, until),
    })),
  ],
  [
    'others that are to be kept',
    wrongly(({ revokeGroup }) => {
      let last: KeepOthers | undefined
      return {
        // Once it kept somebody, it keeps them.
        revokeGroup(group, members, until, keep) {
          last = keep ?? last
          return revokeGroup(group, members, until, last)
        },
      }
    }),
  ],
  [
    'others that are to be kept',
    // Asks, and keeps everybody.
    wrongly(({ revokeGroup }) => ({
      revokeGroup: (group, members, until, keep) =>
        revokeGroup(group, members, until, keep && (async all => all.map(lease => ({ lease, issuedBy: 0 })))),
    })),
  ],
  [
    'others that are to be kept',
    // Asks of the members, too.
    wrongly(({ revokeGroup }) => ({
      revokeGroup: (group, members, until, keep) =>
        revokeGroup(
          group,
          members,
          until,
          keep && (others => keep([...members.map(({ lease }) => lease), ...others])),
        ),
    })),
  ],
  [
    'a member is ended by its name alone',
    wrongly((_, locksmith) => ({
      async revokeGroup(_group, members) {
        // Looks for the keys that it gave in this process.
        locksmith.list(members.filter(({ lease }) => lease.startsWith('known')).map(({ lease }) => lease))
        return { left: [] }
      },
    })),
  ],
  [
    'a document that someone else changed',
    // Remembers what it wrote, and takes it for what is there.
    wrongly(({ revokeGroup }) => {
      let written = ''
      return {
        async revokeGroup(group, members, until, keep) {
          const now = members.map(({ lease }) => lease).join()
          if (now !== written) await revokeGroup(group, members, until, keep)
          written = now
          return { left: [] }
        },
      }
    }),
  ],
  [
    'a group is not written after its time',
    wrongly(({ revokeGroup }) => ({
      revokeGroup: (group, members, _until, keep) =>
        revokeGroup(group, members, Number.POSITIVE_INFINITY, keep),
    })),
  ],
  [
    'a group while the provider is down',
    wrongly(({ revokeGroup }) => ({
      revokeGroup: (group, members, until, keep) =>
        revokeGroup(group, members, until, keep).catch(() => ({ left: members.map(({ lease }) => lease) })),
    })),
  ],
]
