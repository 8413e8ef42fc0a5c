import { createHash } from 'node:crypto'
import { CLI_LIMITS } from './limits.ts'
import { printJson } from './print.ts'
import { CommandError, errorCode, type Terminal } from './terminal.ts'

/**
 * `mayfly agents build-digest`: one digest over files (the model's name, the prompt, the tools), whatever the order
 * in which they are named: SHA-256 of the lines that `sha256sum` would print, sorted by name.
 */
export async function buildDigest(
  terminal: Terminal,
  files: readonly string[],
  { json }: { json?: boolean },
): Promise<void> {
  const lines: string[] = []
  for (const file of [...new Set(files)].sort()) {
    const { text } = await terminal.readFile(file, CLI_LIMITS.buildFileBytes).catch(cause => {
      throw new CommandError(`${file} cannot be read (${errorCode(cause)})`, { cause })
    })
    // Bytes that are no text would all be read as the same.
    if (text.includes('\uFFFD'))
      throw new CommandError(`${file} is not UTF-8 text; name a file with its digest`)
    lines.push(`${sha256(text)}  ${file}\n`)
  }
  const build = `sha256:${sha256(lines.join(''))}`
  if (json) printJson(terminal, { build })
  else terminal.out(`${build}\n`)
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
