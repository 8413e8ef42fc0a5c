/** Policies as registered resources, and the set that they make. */
import { basename } from 'node:path'
import { policyProblem } from '../config/policies.ts'
import { ConfigError, type Settings } from '../config.ts'
import type { PolicyFile } from '../policy/cedar/compile.ts'
import type { PolicyHost, PreparedPolicies } from '../policy-host/host.ts'
import { newResource, type Resource } from './resource.ts'

/** One resource for each file, named after it. */
export function policyResources(files: readonly PolicyFile[] = []): Resource[] {
  return files.map(({ name, text }) => newResource('policy', basename(name, '.cedar'), { text }))
}

/**
 * What all the registered ones make together, in a thread of its own and in force nowhere yet. Where there are
 * none and no folder is named for them, there is no policy beside the ceilings; an empty folder permits nothing.
 *
 * @throws ConfigError; ThreadDied where no thread can be started
 */
export async function preparePolicies(
  host: PolicyHost,
  { policies_dir: folder }: Pick<Settings, 'policies_dir'>,
  resources: Iterable<Pick<Resource, 'kind' | 'name' | 'namespace' | 'document'>>,
): Promise<PreparedPolicies> {
  const files = [...resources]
    .filter(({ kind }) => kind === 'policy')
    .map(({ name, namespace, document }) => ({
      ...{ name: `${name}.cedar`, text: String(document.text) },
      ...(namespace === null ? {} : { namespace }),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  return prepareFiles(host, files.length === 0 && folder === undefined ? undefined : files)
}

/** The same of files as they were read: problems are told by the place where they stand. */
export async function prepareFiles(
  host: PolicyHost,
  files: readonly PolicyFile[] | undefined,
): Promise<PreparedPolicies> {
  const result = await host.prepare(files)
  if (result.ok) return result.prepared
  throw new ConfigError(result.problems.map(policyProblem))
}
