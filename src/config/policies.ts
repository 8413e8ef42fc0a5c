/** `policies/*.cedar`, as text: they are compiled where they can do no harm. */
import { join } from 'node:path'
import { LIMITS } from '../limits.ts'
import type { PolicyFile, PolicyProblem } from '../policy/cedar/compile.ts'
import { ConfigError, type Problem } from './problem.ts'
import { type ConfigFiles, readText } from './read-files.ts'

/**
 * Sorted by name. Hidden files, folders and other extensions are passed over.
 * @throws ConfigError where the folder or one of its files cannot be read
 */
export async function readPolicies(files: ConfigFiles, folder: string): Promise<PolicyFile[]> {
  const names = await files.listDir(folder).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
    const expected = `expected a folder that can be read (it may be empty)${code}`
    throw new ConfigError([{ file: folder, key: 'policies_dir', expected }])
  })
  const shown = names.filter(name => name.endsWith('.cedar') && !name.startsWith('.')).sort()
  if (shown.length > LIMITS.policies)
    throw new ConfigError([
      { file: folder, key: 'policies_dir', expected: `at most ${LIMITS.policies} files` },
    ])
  const read: PolicyFile[] = []
  for (const name of shown.map(one => join(folder, one)))
    read.push({ name, text: await readText(files, name) })
  return read
}

/** In the words of the rest of the configuration. */
export function policyProblem({ file, policy = '', line, message, remedy }: PolicyProblem): Problem {
  return {
    ...{ file, key: policy, expected: message },
    ...(line === undefined ? {} : { line }),
    ...(remedy === undefined ? {} : { remedy }),
  }
}
