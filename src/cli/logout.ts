import { z } from 'zod'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { printJson } from './print.ts'
import { BrokerRefusal } from './refusal.ts'
import { readSession, sessionPath } from './session-file.ts'
import type { Terminal } from './terminal.ts'

/** `mayfly logout`: ends the session at the broker, and removes its file even where there is nothing to end. */
export async function logout(terminal: Terminal, options: BrokerOption & { json?: boolean }): Promise<void> {
  const url = operatorUrl(terminal, options)
  const path = sessionPath(terminal, url)
  // One that cannot be read goes all the same.
  const held = await readSession(terminal, url).catch(() => undefined)
  if (held !== undefined) {
    const call = { method: 'POST', path: '/v1/operator-sessions/current/end', body: {} } as const
    try {
      await createClient(terminal, url).call(
        { ...call, token: held.token, whenLost: 'repeat' },
        z.looseObject({}),
      )
    } catch (error) {
      // Past its time, or ended by somebody else: that is what was wanted.
      if (!(error instanceof BrokerRefusal) || error.code !== 'unauthenticated') throw error
    } finally {
      await terminal.removeFile(path)
    }
  } else await terminal.removeFile(path)
  if (options.json) return printJson(terminal, { ended: held !== undefined })
  terminal.out(held === undefined ? 'There was no session.\n' : 'Signed out.\n')
}
