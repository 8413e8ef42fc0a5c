/** The files by which a step speaks to its runner, as actions/runner reads them (`FileCommandManager`). */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const FILES = ['GITHUB_OUTPUT', 'GITHUB_STATE', 'GITHUB_ENV', 'GITHUB_STEP_SUMMARY'] as const
type FileCommand = (typeof FILES)[number]

export type RunnerFiles = {
  env: Record<FileCommand | 'RUNNER_TEMP', string>
  /** What the step said there: name to value, the last one counts. */
  read(file: FileCommand): Promise<Record<string, string>>
  text(file: FileCommand): Promise<string>
  close(): Promise<void>
}

export async function createRunnerFiles(): Promise<RunnerFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-action-'))
  const paths = Object.fromEntries(FILES.map(name => [name, join(folder, name.toLowerCase())]))
  for (const path of Object.values(paths)) await writeFile(path, '')
  const env = { ...paths, RUNNER_TEMP: folder } as RunnerFiles['env']
  const text = (file: FileCommand) => readFile(env[file], 'utf8')
  return {
    env,
    text,
    read: async file => parseFileCommand(await text(file)),
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

/** `NAME=VALUE`, or `NAME<<DELIMITER`, lines, `DELIMITER`. @throws Error as the runner does */
export function parseFileCommand(text: string): Record<string, string> {
  const lines = text.split('\n')
  const found: Record<string, string> = {}
  while (lines.length > 0) {
    const line = lines.shift()!
    if (line === '') continue
    const [, name, delimiter] = /^([^=]+?)<<(.+)$/.exec(line) ?? []
    if (name === undefined) {
      const [, plain, value] = /^([^=]+)=(.*)$/.exec(line) ?? []
      if (plain === undefined) throw new Error(`invalid format '${line}'`)
      found[plain] = value!
      continue
    }
    const end = lines.indexOf(delimiter!)
    if (end < 0) throw new Error(`no matching delimiter '${delimiter}'`)
    found[name] = lines
      .splice(0, end + 1)
      .slice(0, -1)
      .join('\n')
  }
  return found
}
