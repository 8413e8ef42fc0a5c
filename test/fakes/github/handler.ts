/** What the handler of one operation is given: a request that is routed, identified and judged. */
import type { Answer } from './answer.ts'
import type { AppRecord, GithubState, TokenRecord } from './state.ts'

export type Caller =
  | { kind: 'anonymous' }
  | { kind: 'app'; app: AppRecord }
  | { kind: 'installation'; token: TokenRecord }

export type Call = {
  state: GithubState
  caller: Caller
  /** Path and query parameters by GitHub's names, path ones winning. */
  params: Readonly<Record<string, string | number>>
  body: Record<string, unknown>
  /** Scheme, host and port of the request: the base of every URL in the answer. */
  origin: string
  /** The path behind `/repos/{owner}/{repo}`, with its query; empty elsewhere. */
  rest: string
  url: URL
  accept: string
  userAgent: string
  /** REST version 2026-03-10 and later. */
  trimDeprecated: boolean
}

/** Synchronous: no other call can come between what it judges and what it changes. */
export type Handler = (call: Call) => Answer

/** Whose name a commit or an issue carries: the App's bot. */
export function callerLogin({ state, caller }: Pick<Call, 'state' | 'caller'>): string {
  if (caller.kind !== 'installation') return 'anonymous'
  const installation = state.installations.get(caller.token.installationId)!
  return `${state.apps.get(installation.appId)!.slug}[bot]`
}

/** One page of a list, with GitHub's `Link` header. `per_page` is 30, and 100 at most whatever is asked. */
export function paged<T>(
  call: Pick<Call, 'params' | 'url'>,
  list: readonly T[],
): { items: readonly T[]; headers: Record<string, string> } {
  const perPage = Math.min(Math.max(Number(call.params.per_page ?? 30), 1), 100)
  const page = Math.max(Number(call.params.page ?? 1), 1)
  const last = Math.max(Math.ceil(list.length / perPage), 1)
  const link = (to: number, relation: string) => {
    const url = new URL(call.url)
    url.searchParams.set('page', String(to))
    return `<${url}>; rel="${relation}"`
  }
  const links = [
    ...(page > 1 ? [link(page - 1, 'prev'), link(1, 'first')] : []),
    ...(page < last ? [link(page + 1, 'next'), link(last, 'last')] : []),
  ]
  return {
    items: list.slice((page - 1) * perPage, page * perPage),
    headers: links.length === 0 ? {} : { link: links.join(', ') },
  }
}
