/** What is to be registered, gathered from files; their text goes to the broker as it is, for it to say the line. */
import { basename, join } from 'node:path'
import { CLI_LIMITS } from './limits.ts'
import { readSecretFile } from './secret-file.ts'
import { CommandError, errorCode, type Terminal, usageError } from './terminal.ts'

export type SetOptions = {
  file: readonly string[]
  remove: readonly string[]
  prune: readonly string[]
  secret: readonly string[]
}

export type RegistrySet = {
  documents: object[]
  remove: { kind: string; name: string }[]
  prune: readonly string[]
  secrets: { kind: string; resource: string; name: string; value: string }[]
}

/** @throws CommandError */
export async function readSet(terminal: Terminal, options: SetOptions): Promise<RegistrySet> {
  const { file, remove, prune, secret } = options
  if (file.length + remove.length + prune.length === 0)
    throw usageError('say what to register: -f FILE or DIR, --remove KIND/NAME, --prune NAMESPACE')
  const { files } = await terminal.edge('silent')
  const documents: object[] = []
  for (const path of file) {
    const names = await files.listDir(path).catch(() => undefined)
    const found = names === undefined ? [path] : inFolder(path, names)
    for (const one of found) documents.push(await readDocument(terminal, one))
  }
  const secrets: RegistrySet['secrets'] = []
  for (const one of secret) secrets.push(await readSecret(terminal, one))
  return { documents, remove: remove.map(named), prune, secrets }
}

function inFolder(folder: string, names: readonly string[]): string[] {
  const shown = names.filter(name => /\.(yaml|json|cedar)$/.test(name) && !name.startsWith('.')).sort()
  if (shown.length === 0) throw new CommandError(`${folder} has no .yaml, .json or .cedar file`)
  return shown.map(name => join(folder, name))
}

async function readDocument(terminal: Terminal, path: string): Promise<object> {
  try {
    const { text } = await terminal.readFile(path, CLI_LIMITS.registryFileBytes)
    if (!path.endsWith('.cedar')) return { source: path, text }
    return { document: { kind: 'policy', name: basename(path, '.cedar'), text } }
  } catch (cause) {
    throw new CommandError(`${path} cannot be read (${errorCode(cause)})`, { cause })
  }
}

function named(text: string): { kind: string; name: string } {
  const [, kind, name] = /^([a-z_]+)\/([a-z0-9.-]+)$/.exec(text) ?? []
  if (kind === undefined || name === undefined) throw usageError(`${text}: expected KIND/NAME`)
  return { kind, name }
}

/** From a file, never from the command line, which others can see. */
async function readSecret(terminal: Terminal, text: string): Promise<RegistrySet['secrets'][number]> {
  const [, kind, resource, name, file] = /^([a-z]+)\/([a-z0-9.-]+)\/([a-z0-9-]+)=(.+)$/.exec(text) ?? []
  if (kind === undefined || resource === undefined || name === undefined || file === undefined)
    throw usageError('expected --secret KIND/NAME/SECRET=FILE, like issuer/payments.github/app-key=app.pem')
  return { kind, resource, name, value: await readSecretFile(terminal, file) }
}
