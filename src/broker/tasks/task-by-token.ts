/** A task by its token, as `mayfly` hands it out. */
import type { Keyring } from '../../keys/keyring.ts'
import { taskTokenHash } from '../../keys/tokens.ts'
import type { TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'

/** Undefined where it is nobody's; whether its form is right is not looked at. */
export async function taskByToken(
  { ledger: { read }, keyring }: Pick<Broker, 'ledger' | 'keyring'>,
  token: string,
): Promise<TaskRow | undefined> {
  const [hash, former] = hashes(keyring, token)
  return (await read.taskByToken(hash)) ?? read.taskByToken(former)
}

export function isTokenOf(
  { keyring }: Pick<Broker, 'keyring'>,
  { token_hash }: Pick<TaskRow, 'token_hash'>,
  token: string,
): boolean {
  return hashes(keyring, token).some(hash => hash === token_hash)
}

/** As it is kept, and as it was kept before tokens had their moment in front. */
const hashes = (keyring: Keyring, token: string) =>
  [taskTokenHash(keyring, token), keyring.tokenHash(token)] as const
