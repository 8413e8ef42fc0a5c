/** Files, folders and what git says, as bytes. Links are not followed; nothing is kept whole that can be long. */
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { lstat, open, readdir, stat } from 'node:fs/promises'
import { errorCode } from './terminal.ts'

export type Kind = 'file' | 'folder' | 'other'

export type ByteSources = {
  /** What is named is looked at wherever it leads to; what lies in a folder is not (`isNamed` false). */
  kind(path: string, isNamed: boolean): Promise<Kind>
  /** The names in it, sorted. */
  folder(path: string): Promise<string[]>
  /** In pieces of 64 KiB. */
  file(path: string, isNamed: boolean): AsyncIterable<Uint8Array>
  /** What git says, in a repository. @throws GitFailed, also where it says more than `maxBytes` */
  git(folder: string, args: readonly string[], options: GitOptions): Promise<Buffer>
}

export type GitOptions = { env: Readonly<Record<string, string | undefined>>; maxBytes: number }

export class GitFailed extends Error {
  override name = 'GitFailed'
}

export const hostSources: ByteSources = {
  async kind(path, isNamed) {
    const found = await (isNamed ? stat(path) : lstat(path))
    return found.isFile() ? 'file' : found.isDirectory() ? 'folder' : 'other'
  },
  folder: async path => (await readdir(path)).sort(),
  async *file(path, isNamed) {
    const flags = constants.O_RDONLY | (isNamed ? 0 : constants.O_NOFOLLOW) | constants.O_NONBLOCK
    const file = await open(path, flags)
    try {
      for await (const piece of file.createReadStream({ autoClose: false })) yield piece as Buffer
    } finally {
      await file.close()
    }
  },
  git: (folder, args, { env, maxBytes }) =>
    new Promise((resolve, reject) => {
      const given = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined)
      const child = spawn('git', ['-C', folder, ...args], {
        ...{ env: Object.fromEntries(given), stdio: ['ignore', 'pipe', 'pipe'] },
      })
      const out: Buffer[] = []
      const said: Buffer[] = []
      let size = 0
      child.stdout.on('data', (piece: Buffer) => {
        size += piece.length
        if (size > maxBytes) child.kill('SIGKILL')
        else out.push(piece)
      })
      child.stderr.on('data', (piece: Buffer) => {
        if (said.length < 16) said.push(piece)
      })
      child.once('error', error => reject(new GitFailed(`git cannot be started (${errorCode(error)})`)))
      child.once('close', code => {
        if (code === 0) resolve(Buffer.concat(out, size))
        else if (size > maxBytes) reject(new GitFailed(`git says more than ${maxBytes} bytes`))
        else reject(new GitFailed(`git: ${Buffer.concat(said).toString().trim().slice(0, 300)}`))
      })
    }),
}
