import { CLI_LIMITS } from './limits.ts'
import { CommandError, EXIT, errorCode, type SecretFile, type Terminal } from './terminal.ts'

/** A file that only its owner may read. @throws CommandError */
export async function readSecretFile(
  { readFile }: Pick<Terminal, 'readFile'>,
  path: string,
): Promise<string> {
  let file: { text: string; mode: number }
  try {
    file = await readFile(path, CLI_LIMITS.secretFileBytes)
  } catch (cause) {
    throw new CommandError(`${path} cannot be read (${errorCode(cause)})`, { cause })
  }
  if ((file.mode & 0o077) !== 0)
    throw new CommandError(
      `${path} holds a secret and can be read by others (mode ${(file.mode & 0o777).toString(8)}).\n` +
        `  If nobody has read it: chmod 600 ${path}`,
    )
  return file.text
}

/** Takes the place where a secret will be written, before it exists. @throws CommandError, `onExisting` where the file is there */
export async function reserveSecretFile(
  terminal: Pick<Terminal, 'createSecretFile'>,
  path: string,
  { replace = false, onExisting }: { replace?: boolean; onExisting: string },
): Promise<SecretFile> {
  try {
    return await terminal.createSecretFile(path, { replace })
  } catch (cause) {
    const code = errorCode(cause)
    const message =
      code === 'EEXIST' ? `${path} exists already. ${onExisting}` : `${path} cannot be written (${code})`
    throw new CommandError(message, { exitCode: EXIT.failure, cause })
  }
}
