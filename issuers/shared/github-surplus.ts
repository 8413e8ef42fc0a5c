/** What the App's installations give that no ceiling needs: the most a stolen App key is worth beyond them. */
import { z } from 'zod'
import type { GithubAsk } from './github-ask.ts'
import { levelCovers } from './github-permissions.ts'
import { type GithubRest, unavailable } from './github-rest.ts'

const LOOKUP_WINDOW_MS = 2 * 60_000
const PAGE = 100

const installations = z.array(
  z.object({
    account: z.object({ login: z.string() }).nullish(),
    permissions: z.record(z.string(), z.string()),
    repository_selection: z.string(),
  }),
)

/** @throws ProviderUnavailable */
export async function githubSurplus(
  rest: GithubRest,
  ceilings: readonly GithubAsk[],
  now: () => number,
): Promise<{ where: string; right: string }[]> {
  const found: { where: string; right: string }[] = []
  for (let page = 1; ; page++) {
    const parameters = { per_page: PAGE, page }
    const answer = await rest.asApp('GET /app/installations', parameters, now() + LOOKUP_WINDOW_MS)
    const parsed = installations.safeParse(answer.data)
    if (answer.status !== 200 || !parsed.success) throw unavailable(answer, "the App's installations")
    for (const { account, permissions, repository_selection } of parsed.data) {
      const where = account?.login ?? 'an installation'
      if (repository_selection === 'all') found.push({ where, right: 'all repositories' })
      for (const [name, level] of Object.entries(permissions))
        if (name !== 'metadata' && !isNeeded(ceilings, name, level))
          found.push({ where, right: `${name}:${level}` })
    }
    if (parsed.data.length < PAGE) return found
  }
}

function isNeeded(ceilings: readonly GithubAsk[], name: string, level: string): boolean {
  return ceilings.some(({ permissions }) => levelCovers(permissions[name], level))
}
