/** Trust policy files on this machine: where they stand says whose they are. */
import { basename, dirname, join, resolve } from 'node:path'
import type { ConfigFiles } from '../config.ts'
import { CLI_LIMITS } from './limits.ts'
import { usageError } from './terminal.ts'

/** `repository`: without its owner. */
export type PolicyFileAt = { path: string; repository: string; identity: string }

const FOLDER = join('.github', 'chainguard')
const EXTENSION = '.sts.yaml'

/**
 * Of a file; of a folder of such files; of a checkout; or of a folder of checkouts.
 *
 * @param named the repository, where its folder is not called like it
 */
export async function findPolicyFiles(
  files: Pick<ConfigFiles, 'listDir'>,
  paths: readonly string[],
  named: string | undefined,
): Promise<PolicyFileAt[]> {
  const found: string[] = []
  for (const path of paths) {
    const names = await list(files, path)
    if (names === undefined) {
      if (!path.endsWith(EXTENSION)) throw usageError(`${path}: expected a folder, or a file *${EXTENSION}`)
      found.push(path)
      continue
    }
    const folders = [path, join(path, FOLDER), ...names.map(name => join(path, name, FOLDER))]
    for (const folder of folders.slice(0, CLI_LIMITS.importFolders))
      for (const name of (await list(files, folder)) ?? [])
        if (name.endsWith(EXTENSION)) found.push(join(folder, name))
  }
  if (found.length > CLI_LIMITS.importFiles)
    throw usageError(`expected at most ${CLI_LIMITS.importFiles} policies at once`)
  return [...new Set(found)].sort().map(path => ({
    path,
    repository: named ?? repositoryOf(path),
    identity: basename(path, EXTENSION),
  }))
}

async function list(
  files: Pick<ConfigFiles, 'listDir'>,
  path: string,
): Promise<readonly string[] | undefined> {
  try {
    return [...(await files.listDir(path))].sort()
  } catch {
    return undefined
  }
}

/** The folder of the checkout. @throws CommandError where a file stands elsewhere */
function repositoryOf(path: string): string {
  const folder = dirname(resolve(path))
  if (!folder.endsWith(FOLDER))
    throw usageError(`${path}: expected it below REPOSITORY/.github/chainguard, or --repository NAME`)
  return basename(dirname(dirname(folder)))
}
