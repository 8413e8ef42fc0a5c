import type { KekFiles } from './kek.ts'
import { MOST_SECRET_BYTES } from './kek-files.ts'
import { KeyringError } from './keyring-error.ts'

/**
 * A secret that the operator named a file for. It is held to what the key-encryption key is held to: nobody
 * but its owner may reach it.
 *
 * @throws KeyringError secret_missing, secret_readable_by_others, secret_malformed: the path and never the content.
 */
export async function readSecretFile({ read }: Pick<KekFiles, 'read'>, path: string): Promise<string> {
  const file = await read(path)
  if (file === undefined)
    throw new KeyringError(
      'secret_missing',
      `${path}: there is no such file, and the configuration names it.`,
    )
  if (Buffer.byteLength(file.text) > MOST_SECRET_BYTES)
    throw new KeyringError(
      'secret_malformed',
      `${path} has more than ${MOST_SECRET_BYTES} bytes: it is no secret.`,
    )
  if ((file.mode & 0o077) === 0) return file.text
  const mode = (file.mode & 0o777).toString(8).padStart(4, '0')
  throw new KeyringError(
    'secret_readable_by_others',
    `${path}: mode ${mode} lets others reach a secret. Run: chmod 600 ${path}`,
  )
}
