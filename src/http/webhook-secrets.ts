import { Secret } from '../../issuers/shared/secret.ts'

/** Shorter ones could be guessed from one delivery. */
const FEWEST_CHARS = 16
const MOST_SECRETS = 2

/**
 * The secrets that a webhook may be signed with, one a line: the one in use, and during a rotation the next or
 * the last one beside it. Read at every delivery, so that the file can be replaced in place.
 *
 * @throws Error that names the file and never its content.
 */
export async function readWebhookSecrets(
  readFile: (path: string) => Promise<string>,
  path: string,
): Promise<Secret[]> {
  const lines = (await readFile(path))
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
  if (lines.length === 0 || lines.length > MOST_SECRETS)
    throw new Error(
      `${path} must hold one webhook secret, or two during a rotation, each on a line of its own`,
    )
  if (lines.some(line => line.length < FEWEST_CHARS))
    throw new Error(`a webhook secret in ${path} has fewer than ${FEWEST_CHARS} characters`)
  return lines.map(line => new Secret(line))
}
