/** `mayfly policy shadow`: where the candidate policies would have decided otherwise, by kind, most often first. */
import { z } from 'zod'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printable, printJson, shortTime, table } from './print.ts'
import { CommandError, type Terminal } from './terminal.ts'

const texts = z.array(z.string())
const answer = z.looseObject({
  candidate: z
    .looseObject({
      hash: z.string().nullable(),
      problem: z.string().nullable(),
      judged: z.number(),
      differing: z.number(),
      dropped: z.number(),
      failed: z.number(),
    })
    .nullable(),
  items: z.array(
    z.looseObject({
      live: z.string(),
      shadow: z.string(),
      agent: z.string(),
      issuer: z.string(),
      phase: z.string(),
      live_by: texts,
      shadow_by: texts,
      times: z.number(),
      last_at: z.string(),
      example: z.string(),
    }),
  ),
  next: z.string().nullable(),
})

export async function policyShadow(
  terminal: Terminal,
  options: BrokerOption & OperatorTokenOption & { after?: string; json?: boolean },
): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const path = `/v1/policies/shadow${options.after === undefined ? '' : `?after=${encodeURIComponent(options.after)}`}`
  const shown = await client.call({ method: 'GET', path, token, whenLost: 'repeat' }, answer)
  if (options.json) return printJson(terminal, shown)
  const { candidate } = shown
  if (candidate === null || (candidate.hash === null && candidate.problem === null))
    throw new CommandError('there is no candidate: set policies_shadow_dir in the settings of the broker')
  if (candidate.hash === null)
    throw new CommandError(`the candidate is not judged by: ${printable(candidate.problem ?? '')}`)
  const rows = shown.items
    .toSorted((a, b) => b.times - a.times)
    .map(row => [
      String(row.times),
      `${row.live} -> ${row.shadow}`,
      row.agent,
      `${row.issuer}:${row.phase}`,
      `${row.live_by.join(' ') || '-'} -> ${row.shadow_by.join(' ') || '-'}`,
      shortTime(row.last_at),
      row.example,
    ])
  if (rows.length > 0)
    terminal.out(table(['TIMES', 'OUTCOME', 'AGENT', 'WHAT', 'BY', 'LAST', 'EXAMPLE'], rows))
  const { judged, dropped, failed, hash } = candidate
  terminal.out(
    `${count(rows.length, 'kind')} of difference${shown.next === null ? '' : `, and more: --after ${shown.next}`}\n` +
      `candidate ${printable(hash)}; by the broker that answered: ${judged} judged, ${dropped} without room, ${failed} failed\n`,
  )
}
