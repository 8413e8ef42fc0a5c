/** Which ask of the tasks held here is meant, where it is not named by its handle. */
import { isDeepStrictEqual } from 'node:util'
import type { Task, TaskAsk } from '../client/task.ts'
import { chooseForGit, type GitAsk } from './git-choice.ts'
import type { HeldSecrets } from './held-secrets.ts'
import type { GitWanted } from './protocol.ts'
import { Refusal } from './refusal.ts'

export type Opened = { task: Task; purpose: string }
export type Held = Opened & { secrets: HeldSecrets }
export type Found = { held: Held; ask: TaskAsk }

/** As it was asked, or as the issuer understood it. @throws Refusal */
export function byDetail(those: readonly Held[], wanted: object): Found {
  const found = those.flatMap(held =>
    held.task.asks
      .filter(({ asked, authorizationDetails }) =>
        [asked, authorizationDetails].some(one => isDeepStrictEqual(plain(one), plain(wanted))),
      )
      .map(ask => ({ held, ask })),
  )
  return only(found, 'no task held here has made this ask: ask for it, or name what was asked by its handle')
}

/** Without what a builder marked it with. */
function plain(detail: object): unknown {
  return Object.fromEntries(Object.entries(detail))
}

/** @throws Refusal */
export function byRepository(those: readonly Held[], git: GitWanted): Found {
  type Offered = GitAsk & Found
  const offered = those.flatMap(held =>
    held.task.asks.map(
      (ask): Offered => ({
        ...{ held, ask, id: ask.id, state: ask.state, provider: ask.provider },
        authorization_details: ask.authorizationDetails,
      }),
    ),
  )
  const choice = chooseForGit(offered, git)
  switch (choice.kind) {
    case 'foreign':
      throw new Refusal('host_unmatched', 'no task held here has an ask for that host')
    case 'unpathed':
      throw new Refusal('repository_unsaid', 'say which repository: git config credential.useHttpPath true')
    case 'unmatched':
      throw new Refusal('ask_unmatched', 'no task held here has asked for that repository')
    case 'contentless':
      throw new Refusal(
        'ask_contentless',
        `the ask ${choice.ask.id} gives no contents of ${choice.repository}`,
      )
    case 'waiting':
    case 'over':
    case 'found':
      return { held: choice.ask.held, ask: choice.ask.ask }
  }
}

/** @param none what to say where there is none */
function only(found: readonly Found[], none: string): Found {
  const [first, ...more] = found
  if (first === undefined) throw new Refusal('ask_unmatched', none)
  if (more.every(one => one.held === first.held)) return first
  const ids = found.map(one => one.held.task.id).join(', ')
  throw new Refusal('task_ambiguous', `several tasks have made this ask; name one of ${ids}`)
}
