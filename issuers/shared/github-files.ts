/** Files of a repository's default branch (docs.github.com, "Get repository content"). */
import { z } from 'zod'
import { ProviderUnavailable } from '../issuer.ts'
import type { FileReader } from './files.ts'
import type { GithubAsk } from './github-ask.ts'
import { type GithubRest, unavailable } from './github-rest.ts'
import { holdUntil } from './github-work.ts'

/** By id: a name can be given to another repository. GitHub serves every path of a repository under its id. */
const ROUTE = 'GET /repositories/{id}/contents/{+path}'

const file = z.object({
  type: z.literal('file'),
  encoding: z.literal('base64'),
  size: z.int(),
  content: z.string(),
})

export function githubFiles(rest: GithubRest): FileReader<GithubAsk> {
  return {
    ask: repository => ({
      repositories: [{ name: repository }],
      permissions: { contents: 'read', metadata: 'read' },
    }),
    async read({ repositories: [only, ...others] }, path, { secret, lease, maxBytes }) {
      if (only?.id === undefined || only.name === undefined || others.length > 0)
        throw new ProviderUnavailable('it is not known whose files the credential reads')
      const repository = { id: only.id, name: only.name }
      const answer = await rest.asToken(ROUTE, { id: only.id, path }, secret.reveal(), lease)
      const held = holdUntil(answer)
      if (answer.status === 404) return { seen: undefined, ...held }
      if (answer.status !== 200) throw unavailable(answer, 'a file')
      return { seen: { repository, ...contentOf(answer.data, maxBytes) }, ...held }
    },
  }
}

/** A folder, a submodule and what GitHub finds too large to send are no files to us. */
function contentOf(data: unknown, maxBytes: number): { text: string } | { unreadable: string } {
  const parsed = file.safeParse(data)
  if (!parsed.success || parsed.data.size > maxBytes)
    return { unreadable: `expected a file of at most ${maxBytes} bytes` }
  try {
    const bytes = Buffer.from(parsed.data.content, 'base64')
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch {
    return { unreadable: 'expected a file in UTF-8' }
  }
}
