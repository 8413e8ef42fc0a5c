/** Credentials that a provider's log shows and this broker never handed out. */
import { z } from 'zod'
import type { Secret } from '../../issuers/shared/secret.ts'
import type { ProviderLogEntry } from '../provider-logs/entry.ts'
import type { Client } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { count } from './print.ts'

export type Stranger = { app: string; credential: string; seen: ProviderLogEntry }

/** `held`: credentials of an App or role that were held against the ledger; `unnamed`: its entries without one. */
export type Looked = {
  entries: number
  of: { app: string; held: number; unnamed: number }[]
  strangers: Stranger[]
}

const recognisedAnswer = z.looseObject({
  items: z.array(
    z.looseObject({
      sha256: z.string().optional(),
      session: z.string().optional(),
      lease: z.string().nullable(),
    }),
  ),
})

/**
 * Of GitHub's entries those by an App's own login count; of AWS's those of a role's sessions, that carry a lease's
 * name or none of a person's. @param apps logins of Apps and ARNs of roles
 */
export async function lookForStrangers(
  client: Client,
  token: Secret,
  entries: readonly ProviderLogEntry[],
  apps: readonly string[],
): Promise<Looked> {
  const strangers: Stranger[] = []
  const of: Looked['of'] = []
  for (const app of new Set(apps)) {
    const { seen, unnamed } = sightingsOf(entries, app)
    for (let at = 0; at < seen.length; at += CLI_LIMITS.recognisedItems) {
      const batch = seen.slice(at, at + CLI_LIMITS.recognisedItems)
      const body = { credentials: batch.map(({ sighting }) => sighting) }
      const { items } = await client.call(
        { method: 'POST', path: '/v1/credentials/recognise', token, body, whenLost: 'repeat' },
        recognisedAnswer,
      )
      for (const [index, { lease, sha256, session }] of items.entries())
        if (lease === null)
          strangers.push({ app, credential: sha256 ?? session ?? '', seen: batch[index]!.entry })
    }
    of.push({ app, held: seen.length, unnamed })
  }
  return { entries: entries.length, of, strangers }
}

type Sighting = { sha256: string } | { session: string }

/** Each credential once, with the first entry that shows it. */
function sightingsOf(entries: readonly ProviderLogEntry[], app: string) {
  const seen = new Map<string, { sighting: Sighting; entry: ProviderLogEntry }>()
  let unnamed = 0
  for (const entry of entries) {
    if ((entry.provider === 'github' ? entry.actor : entry.role) !== app) continue
    const sighting = sightingOf(entry)
    if (sighting === undefined) unnamed += 1
    else seen.set(JSON.stringify(sighting), seen.get(JSON.stringify(sighting)) ?? { sighting, entry })
  }
  return { seen: [...seen.values()], unnamed }
}

function sightingOf({ provider, tokenHash = '', session }: ProviderLogEntry): Sighting | undefined {
  if (provider === 'github') return /^[0-9a-f]{64}$/.test(tokenHash) ? { sha256: tokenHash } : undefined
  return session === undefined ? undefined : { session }
}

/** What was not looked for was not found either: that is not to read like good news. */
export function describeLooked({ entries, of, strangers }: Looked): string[] {
  const read = `${entries === 1 ? '1 entry' : `${entries} entries`} of the log read`
  const told = strangers.map(
    ({ credential, seen }) =>
      `UNKNOWN CREDENTIAL ${credential}: ${seen.action} by ${seen.actor ?? 'somebody'} at ${new Date(seen.at).toISOString()}; this broker never handed it out`,
  )
  if (entries === 0) return told
  if (of.length === 0)
    return [`${read}, and none held against the ledger: say whose credentials must be its own with --app.`]
  return [
    ...told,
    ...of.flatMap(({ app, held, unnamed }) => {
      const unknown = strangers.filter(one => one.app === app).length
      const without = unnamed === 1 ? '1 entry' : `${unnamed} entries`
      return [
        ...(held > 0
          ? [`${read}, ${count(held, 'credential')} of ${app} among them, ${unknown || 'none'} unknown.`]
          : [
              `${read}, and no credential of ${app} among them${unnamed > 0 ? '' : ': is it called so there?'}`,
            ]),
        ...(unnamed > 0
          ? [`${without} of ${app} without a token hash or session: held against nothing, look at them.`]
          : []),
      ]
    }),
  ]
}
