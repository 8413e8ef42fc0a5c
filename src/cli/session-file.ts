/** The session of the human at this machine, one file for each broker; it can neither approve nor widen anything. */
import { z } from 'zod'
import { Secret } from '../../issuers/shared/secret.ts'
import { given } from './broker-url.ts'
import { readSecretFile, reserveSecretFile } from './secret-file.ts'
import { CommandError, errorCode, type Terminal } from './terminal.ts'

export type HeldSession = { token: Secret; name: string; expiresAt: string }

const shape = z.looseObject({
  broker: z.string(),
  token: z.string().regex(/^mfs_[0-9A-Za-z]{49}$/),
  name: z.string(),
  expires_at: z.iso.datetime(),
})

/** `$XDG_CONFIG_HOME/mayfly/sessions/<broker>.json`, or under `~/.config`. @throws CommandError without a home */
export function sessionPath({ env }: Pick<Terminal, 'env'>, broker: string): string {
  const folder = folderOf(env)
  if (folder === undefined)
    throw new CommandError('no place for a session: set HOME, or XDG_CONFIG_HOME, or use an operator token')
  const name = broker.replace(/^https?:\/\//, '').replaceAll(/[^\w.-]/g, '_')
  return `${folder}/mayfly/sessions/${name}.json`
}

/** Undefined: there is none for this broker, or it is past its time. @throws CommandError where it cannot be read */
export async function readSession(
  terminal: Pick<Terminal, 'env' | 'readFile' | 'now'>,
  broker: string,
): Promise<HeldSession | undefined> {
  if (folderOf(terminal.env) === undefined) return undefined
  const path = sessionPath(terminal, broker)
  let text: string
  try {
    text = await readSecretFile(terminal, path)
  } catch (error) {
    if (error instanceof CommandError && errorCode(error.cause) === 'ENOENT') return undefined
    throw error
  }
  const parsed = shape.safeParse(parseJson(text))
  if (!parsed.success) throw new CommandError(`${path} does not hold a session; mayfly logout removes it`)
  const { token, name, expires_at: expiresAt } = parsed.data
  // A file that was put in another's place: its token is for that other broker alone.
  if (parsed.data.broker !== broker) return undefined
  if (Date.parse(expiresAt) <= terminal.now()) return undefined
  return { token: new Secret(token), name, expiresAt }
}

/** In place of an earlier one. */
export async function writeSession(
  terminal: Pick<Terminal, 'env' | 'createSecretFile'>,
  broker: string,
  { token, name, expiresAt }: HeldSession,
): Promise<void> {
  const path = sessionPath(terminal, broker)
  const file = await reserveSecretFile(terminal, path, { replace: true, onExisting: '' })
  try {
    const held = { broker, token: token.reveal(), name, expires_at: expiresAt }
    await file.commit(`${JSON.stringify(held, null, 2)}\n`)
  } catch (error) {
    await file.discard()
    throw error
  }
}

function folderOf(env: Terminal['env']): string | undefined {
  const home = given(env.HOME)
  return given(env.XDG_CONFIG_HOME) ?? (home === undefined ? undefined : `${home}/.config`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
