/** The sets of policies that exchanges are judged by. All of them allow what the benches ask for. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** `off`: none. `starter`: as it is shipped. `200`: the same and rules of an organisation beside it, 200 in all. */
export type PolicySet = 'off' | 'starter' | '200'

/** Texts by file name; undefined where no policy is configured. */
export type PolicyTexts = Readonly<Record<string, string>> | undefined

const STARTER = join(import.meta.dirname, '../config/policies/starter')
const MANY = 200

export async function policySet(set: PolicySet): Promise<PolicyTexts> {
  if (set === 'off') return undefined
  const names = await readdir(STARTER)
  const starter = Object.fromEntries(
    await Promise.all(names.map(async name => [name, await readFile(join(STARTER, name), 'utf8')])),
  ) as Record<string, string>
  if (set === 'starter') return starter
  const shipped = Object.values(starter).reduce((count, text) => count + text.split('@id(').length - 1, 0)
  return {
    ...starter,
    '90-house.cedar': Array.from({ length: MANY - shipped }, (_, n) => rule(n)).join('\n'),
  }
}

/** What an organisation forbids: a place, a word, somebody's access to something, or a combination of them. */
function rule(n: number): string {
  const conditions = [
    `context.claims has environment && context.claims.environment == "closed-${n}"`,
    `context.purpose like "*freeze ${n}*"`,
    `principal in Mayfly::Team::"team-${n}@acme.test" && context.ttlSeconds > ${60 + n}`,
    `context.claims has ref && context.claims.ref like "refs/heads/locked-${n}/*" && context.permissions.contains("p${n}")`,
  ]
  const principal = n % 4 === 2 ? 'principal is Mayfly::Agent' : 'principal'
  return `@id("house-${n}")
forbid (${principal}, action in Mayfly::Action::"*:*", resource)
when { ${conditions[n % 4]} };
`
}
