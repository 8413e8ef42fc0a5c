import { basename, join } from 'node:path'
import { LIMITS } from '../limits.ts'
import { parseShape } from './parse-shape.ts'
import { ConfigError, type Problem } from './problem.ts'
import { nameShape } from './shapes.ts'
import { parseYaml, type YamlFile } from './yaml-file.ts'

/** The file system as configuration sees it. */
export type ConfigFiles = {
  /** UTF-8 text. */
  readFile(path: string): Promise<string>
  /** Names in a folder, in any order. */
  listDir(path: string): Promise<readonly string[]>
}

/** One file of a folder of named things: `name.yaml`. */
export type NamedFile = { name: string; file: YamlFile }
export type Folder = { files: readonly NamedFile[]; problems: readonly Problem[] }

/** @throws ConfigError where the file cannot be read */
export async function readText(files: ConfigFiles, path: string): Promise<string> {
  try {
    return await files.readFile(path)
  } catch (error) {
    throw new ConfigError([unreadable(path, '', 'a readable file', error)])
  }
}

/**
 * Every `*.yaml` of a folder, sorted by name. Hidden files and other extensions are passed over; `.yml` is
 * refused, since a file that looks registered and is not would surprise. Files that do not parse are
 * problems beside the ones that do.
 * @throws ConfigError where the folder cannot be read
 */
export async function readFolder(files: ConfigFiles, path: string, key: string): Promise<Folder> {
  const names = await files.listDir(path).catch((error: unknown) => {
    throw new ConfigError([unreadable(path, key, 'a folder that can be read (it may be empty)', error)])
  })
  const shown = [...names].filter(name => !name.startsWith('.')).sort()
  const problems: Problem[] = shown
    .filter(name => name.endsWith('.yml'))
    .map(name => ({ file: join(path, name), key: '', expected: 'the extension .yaml', remedy: 'Rename it' }))
  const found: NamedFile[] = []
  for (const entry of shown.filter(name => name.endsWith('.yaml'))) {
    const place = join(path, entry)
    try {
      found.push({ name: basename(entry, '.yaml'), file: parseYaml(place, await readText(files, place)) })
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(...error.problems)
    }
  }
  if (found.length > LIMITS.registryFiles) {
    problems.push({ file: path, key, expected: `at most ${LIMITS.registryFiles} files` })
  }
  return { files: found, problems }
}

/** A document's own `name` must be its file's, so that a name is looked up by opening one file. */
export function nameProblems({ name, file }: NamedFile): Problem[] {
  const { value } = file
  const declared = typeof value === 'object' && value !== null && 'name' in value ? value.name : undefined
  const parsed = parseShape(file, nameShape, declared, ['name'])
  // A name of the wrong shape is the schema's to report.
  if (!parsed.ok || declared === name) return []
  return [file.problem(['name'], `expected the file's own name, ${name}`, 'Rename the one or the other')]
}

function unreadable(file: string, key: string, expected: string, error: unknown): Problem {
  const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
  return { file, key, expected: `expected ${expected}${code}`, remedy: 'Check the path and its permissions' }
}
