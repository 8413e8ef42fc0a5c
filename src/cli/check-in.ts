/** `mayfly check-in`: a human says that a task may go on, and signs in for exactly that. */
import { z } from 'zod'
import { canonicalDigest } from '../canonical.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { printable, printJson, shortTime } from './print.ts'
import { freshIdToken } from './sign-in.ts'
import type { Terminal } from './terminal.ts'

const checkedIn = z.looseObject({ task: z.string(), check_in_due: z.string() })

export async function checkIn(
  terminal: Terminal,
  task: string,
  options: BrokerOption & { json?: boolean },
): Promise<void> {
  const client = createClient(terminal, operatorUrl(terminal, options))
  // As broker/check-in.ts has it.
  const boundTo = canonicalDigest({ verb: 'check-in', task })
  const body = { id_token: (await freshIdToken(terminal, client, boundTo)).reveal() }
  const path = `/v1/tasks/${encodeURIComponent(task)}/check-in`
  const answer = await client.call({ method: 'POST', path, body, whenLost: 'never' }, checkedIn)
  if (options.json) return printJson(terminal, answer)
  terminal.out(
    `${printable(answer.task)} may go on; check in again before ${shortTime(answer.check_in_due)}.\n`,
  )
}
