/** Which ask of a task git's question is about. Pure: the broker's word on each ask is what it goes by. */
import { kindOf } from './ask-kind.ts'
import { type GitTarget, isOfProvider, repositoryOfPath } from './git-repository.ts'

/** An ask as the broker has it: `provider` is the host of its provider's web pages, where there is one. */
export type GitAsk = {
  id: string
  state: string
  provider?: string | undefined
  authorization_details: Readonly<Record<string, unknown>>
}

/**
 *   foreign    no ask is for this host: nothing of ours, say nothing
 *   unpathed   git did not say which repository, and the asks for this host, `ask` among them, are for several
 *   unmatched  none of them is for this repository (or wiki); absent where the path is no repository's
 *   contentless  asks are for it, and none gives `contents`, without which git does nothing
 *   waiting, over  the best that there is waits for humans, or was not granted
 *   found      `better`: one that would give more, and waits for humans
 */
export type GitChoice<Ask extends GitAsk> =
  | { kind: 'foreign' }
  | { kind: 'unpathed'; ask: Ask }
  | { kind: 'unmatched'; repository: string | undefined; ask: Ask }
  | { kind: 'contentless'; repository: string; ask: Ask }
  | { kind: 'waiting' | 'over'; repository: string; ask: Ask }
  | { kind: 'found'; repository: string; ask: Ask; better?: Ask }

/**
 * git asks before it fetches and before it pushes in the same words, so the ask that gives the most to its
 * repository is taken, and of those that give the same the one for the fewest repositories.
 */
export function chooseForGit<Ask extends GitAsk>(asks: readonly Ask[], target: GitTarget): GitChoice<Ask> {
  const here = asks.filter(
    ({ provider, authorization_details }) =>
      provider !== undefined && kindOf(authorization_details) === 'github' && isOfProvider(target, provider),
  )
  const [one] = here
  if (one === undefined) return { kind: 'foreign' }
  const isPathed = target.path !== undefined && target.path !== ''
  const repository = isPathed ? repositoryOfPath(target.path!) : onlyOf(here)
  if (!isPathed && repository === undefined) return { kind: 'unpathed', ask: one }
  const those = isPathed ? here.filter(ask => isFor(ask, repository)) : openOf(here)
  if (repository === undefined || those.length === 0) return { kind: 'unmatched', repository, ask: one }

  const useful = those.filter(ask => levelOf(ask) > 0).toSorted(byWorth)
  if (useful.length === 0) return { kind: 'contentless', repository, ask: those[0]! }
  const granted = useful.find(({ state }) => state === 'granted')
  const waiting = useful.find(({ state }) => state === 'pending')
  if (granted === undefined)
    return waiting === undefined
      ? { kind: 'over', repository, ask: useful[0]! }
      : { kind: 'waiting', repository, ask: waiting }
  const isBetter = waiting !== undefined && levelOf(waiting) > levelOf(granted)
  return { kind: 'found', repository, ask: granted, ...(isBetter && { better: waiting }) }
}

function isFor(ask: GitAsk, repository: string | undefined): boolean {
  return repository !== undefined && repositoriesOf(ask).includes(repository.toLowerCase())
}

/** Without a path, those are meant that are granted or may be; all of them, where none may. */
function openOf<Ask extends GitAsk>(asks: readonly Ask[]): readonly Ask[] {
  const open = asks.filter(({ state }) => state === 'granted' || state === 'pending')
  return open.length > 0 ? open : asks
}

/** The repositories that all of them are for; undefined where they differ. */
function onlyOf(asks: readonly GitAsk[]): string | undefined {
  const [first, ...more] = new Set(openOf(asks).map(ask => repositoriesOf(ask).toSorted().join(', ')))
  return more.length > 0 ? undefined : first
}

const LEVELS: Readonly<Record<string, number>> = { read: 1, write: 2, admin: 3 }

function permissionsOf({ authorization_details }: GitAsk): Readonly<Record<string, unknown>> {
  const { permissions } = authorization_details
  return typeof permissions === 'object' && permissions !== null ? { ...permissions } : {}
}

/** Of `contents`: 0 where there is none. */
function levelOf(ask: GitAsk): number {
  const { contents } = permissionsOf(ask)
  return typeof contents === 'string' && Object.hasOwn(LEVELS, contents) ? LEVELS[contents]! : 0
}

/** Best first. `workflows` lets a push change what CI runs; without it GitHub refuses such a push. */
function byWorth(a: GitAsk, b: GitAsk): number {
  const workflows = (ask: GitAsk) => (permissionsOf(ask).workflows === undefined ? 0 : 1)
  return (
    levelOf(b) - levelOf(a) ||
    workflows(b) - workflows(a) ||
    repositoriesOf(a).length - repositoriesOf(b).length
  )
}

/** In lower case. The broker writes them with names; one that has none cannot be meant by a path. */
function repositoriesOf({ authorization_details: { repositories } }: GitAsk): string[] {
  if (!Array.isArray(repositories)) return []
  return repositories.map((one: unknown) => {
    if (typeof one === 'string') return one.toLowerCase()
    const { id, name } = (typeof one === 'object' && one !== null ? one : {}) as Record<string, unknown>
    return typeof name === 'string' ? name.toLowerCase() : `#${String(id)}`
  })
}
