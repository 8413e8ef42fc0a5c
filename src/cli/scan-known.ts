/** What a task was given, by what it is known again by; asked for with the task's own token. */
import { createHash, createHmac } from 'node:crypto'
import { z } from 'zod'
import { type KnownHash, type KnownSecrets, knownSecrets, nothingKnown } from '../scan/known-secrets.ts'
import { rollingPrint } from '../scan/rolling-print.ts'
import { given } from './broker-url.ts'
import { createClient } from './client.ts'
import { type HeldTask, readTaskFile, type TaskFileOption, taskFilePath } from './task-file.ts'
import type { Terminal } from './terminal.ts'

const answer = z.looseObject({
  key: z.string().regex(/^[0-9a-f]{64}$/),
  hashes: z.array(
    z.looseObject({
      ...{ lease: z.string(), part: z.string(), hmac: z.string() },
      ...{ bytes: z.int().positive(), print: z.int().nonnegative() },
    }),
  ),
  named: z.array(z.string()),
})

/** Undefined where no task is meant. @throws CommandError */
export async function heldTask(
  terminal: Terminal,
  options: TaskFileOption & { task?: string },
): Promise<HeldTask | undefined> {
  const { task, taskTokenFile } = options
  const isMeant = task ?? taskTokenFile ?? given(terminal.env.MAYFLY_TASK_TOKEN_FILE)
  if (isMeant === undefined) return undefined
  return readTaskFile(terminal, taskFilePath(terminal, task, options), task)
}

/** @throws CommandError */
export async function knownOf(terminal: Terminal, held: HeldTask | undefined): Promise<KnownSecrets> {
  if (held === undefined) return nothingKnown
  const path = `/v1/tasks/${encodeURIComponent(held.id)}/credentials/hashes`
  const client = createClient(terminal, held.broker)
  const { key, hashes, named } = await client.call(
    { method: 'GET', path, token: held.token, whenLost: 'repeat' },
    answer,
  )
  const own = hashOf(held.token.reveal(), key, { lease: held.id, part: 'task_token' })
  return knownSecrets(key, [...hashes, own], named)
}

function hashOf(text: string, key: string, what: Pick<KnownHash, 'lease' | 'part'>): KnownHash {
  const bytes = Buffer.from(text)
  const sha256 = createHash('sha256').update(bytes).digest()
  const hmac = createHmac('sha256', Buffer.from(key, 'hex')).update(sha256).digest('hex')
  return { ...what, bytes: bytes.length, print: rollingPrint(bytes), hmac }
}
