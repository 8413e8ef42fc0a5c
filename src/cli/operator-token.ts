import { Secret } from '../../issuers/shared/secret.ts'
import { parseToken } from '../keys/tokens.ts'
import { type BrokerOption, given, operatorUrl } from './broker-url.ts'
import { printJson, shortTime } from './print.ts'
import { readSecretFile } from './secret-file.ts'
import { readSession } from './session-file.ts'
import { CommandError, type Terminal, usageError } from './terminal.ts'

export type OperatorTokenOption = { operatorTokenFile?: string }

export const OPERATOR_HELP = `Humans sign in: mayfly login. Without a session, or where one is named, an operator token is used. It is
in a file of mode 0600: --operator-token-file, or MAYFLY_OPERATOR_TOKEN_FILE. It is good for 24 hours:
  none yet, or past its time   stop the broker, mayfly operator init, start the broker
  still good                   mayfly operator renew, while the broker runs
The operators' address is --broker, MAYFLY_OPERATOR_URL, MAYFLY_URL or http://127.0.0.1:8480.`

export function operatorTokenPath({ env }: Pick<Terminal, 'env'>, options: OperatorTokenOption): string {
  const path = options.operatorTokenFile ?? given(env.MAYFLY_OPERATOR_TOKEN_FILE)
  if (path === undefined)
    throw usageError(`this needs a session or an operator token.\n${OPERATOR_HELP.replaceAll(/^/gm, '  ')}`)
  return path
}

/** An operator token where a file is named, otherwise the session for this broker. @throws CommandError */
export async function readOperatorToken(
  terminal: Terminal,
  options: OperatorTokenOption & BrokerOption,
): Promise<Secret> {
  if ((options.operatorTokenFile ?? given(terminal.env.MAYFLY_OPERATOR_TOKEN_FILE)) === undefined) {
    const session = await readSession(terminal, operatorUrl(terminal, options))
    if (session !== undefined) return session.token
  }
  const path = operatorTokenPath(terminal, options)
  const text = (await readSecretFile(terminal, path)).trim()
  if (parseToken(text)?.kind === 'operator') return new Secret(text)
  throw new CommandError(`${path} does not hold an operator token (mfo_...)`)
}

export function tellToken(
  terminal: Terminal,
  made: { file: string; name: string; expires_at: string },
  { json }: { json?: boolean },
): void {
  const text =
    `An operator token for ${made.name} is in ${made.file}, good until ${shortTime(made.expires_at)}.\n` +
    `Use it with: export MAYFLY_OPERATOR_TOKEN_FILE=${made.file}\n` +
    'Before it is past its time, get the next one with: mayfly operator renew\n'
  if (json) printJson(terminal, made)
  else terminal.out(text)
}
