/**
 * One AWS session for every process of a task whose token is in a file: sealed under that token in a file beside
 * it, so that it is worth nothing once the task's file is gone. Those that start at the same time wait for the one
 * that mints.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto'
import { z } from 'zod'
import type { Secret } from '../../issuers/shared/secret.ts'
import { CLI_LIMITS } from './limits.ts'
import { readSecretFile } from './secret-file.ts'
import { CommandError, EXIT, errorCode, type SecretFile, sleep, type Terminal } from './terminal.ts'

/** `expiresAt`: RFC 3339. `parts`: as the provider gave them. */
export type AwsSession = { parts: unknown; account: string | undefined; expiresAt: string }

export type Kept = {
  terminal: Terminal
  /** Of the task's file. */
  path: string
  token: Secret
  /** What tells it from the other sessions of the task. */
  name: string
}

/** @throws CommandError, whatever minting throws */
export async function keptSession(kept: Kept, mint: () => Promise<AwsSession>): Promise<AwsSession> {
  const { terminal } = kept
  const path = `${kept.path}.aws-${createHash('sha256').update(kept.name).digest('hex').slice(0, 16)}`
  const before = await read(kept, path)
  if (before !== undefined) return before
  const lock = await takeLock(terminal, `${path}.lock`)
  try {
    // Whoever had the lock has minted.
    return (await read(kept, path)) ?? (await mintAndKeep(kept, path, mint))
  } finally {
    await lock.discard()
  }
}

async function mintAndKeep(kept: Kept, path: string, mint: () => Promise<AwsSession>): Promise<AwsSession> {
  const session = await mint()
  const lifeMs = Date.parse(session.expiresAt) - kept.terminal.now()
  const file = await kept.terminal.createSecretFile(path, { replace: true })
  await file.commit(seal(kept, JSON.stringify({ ...session, lifeMs })))
  return session
}

/** Reserved and never written to: who has it removes it, or is dead. */
async function takeLock(terminal: Terminal, path: string): Promise<SecretFile> {
  const until = terminal.now() + CLI_LIMITS.callMs
  for (;;) {
    try {
      return await terminal.createSecretFile(path)
    } catch (cause) {
      if (errorCode(cause) !== 'EEXIST')
        throw new CommandError(`${path} cannot be written (${errorCode(cause)})`, { cause })
    }
    if (terminal.now() >= until) {
      await terminal.removeFile(path)
      throw new CommandError('another mayfly aws-credentials took too long, or died: try again', {
        exitCode: EXIT.unavailable,
      })
    }
    await sleep(terminal, CLI_LIMITS.lockPollMs)
  }
}

const shape = z.object({
  parts: z.record(z.string(), z.unknown()),
  account: z.string().optional(),
  expiresAt: z.string(),
  lifeMs: z.number(),
})

/** The one that is kept, where enough of its life is left. What cannot be read is as good as none. */
async function read(kept: Kept, path: string): Promise<AwsSession | undefined> {
  let content: unknown
  try {
    content = JSON.parse(unseal(kept, await readSecretFile(kept.terminal, path)))
  } catch {
    return undefined
  }
  const parsed = shape.safeParse(content)
  if (!parsed.success) return undefined
  const { lifeMs, account, ...session } = parsed.data
  const left = Date.parse(session.expiresAt) - kept.terminal.now()
  return left > 0 && left >= Math.min(CLI_LIMITS.awsLeftMs, lifeMs / 2) ? { ...session, account } : undefined
}

/** base64url of nonce, tag and ciphertext. */
function seal({ terminal, token }: Kept, text: string): string {
  const nonce = terminal.random(12)
  const cipher = createCipheriv('aes-256-gcm', keyOf(token), nonce)
  const sealed = [cipher.update(text, 'utf8'), cipher.final()]
  return Buffer.concat([nonce, cipher.getAuthTag(), ...sealed]).toString('base64url')
}

/** @throws Error where it was sealed under another token, or changed */
function unseal({ token }: Kept, text: string): string {
  const bytes = Buffer.from(text, 'base64url')
  const decipher = createDecipheriv('aes-256-gcm', keyOf(token), bytes.subarray(0, 12))
  decipher.setAuthTag(bytes.subarray(12, 28))
  return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')
}

function keyOf(token: Secret): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', token.reveal(), '', 'mayfly aws-credentials', 32))
}
