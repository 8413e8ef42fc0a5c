import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { KekFiles } from './kek.ts'

/** No key and no list of secrets comes near it; of what is longer, one byte more is read. */
export const MOST_SECRET_BYTES = 65_536

/**
 * Secrets on a file system, such as the KEK. Mode and content come from one handle, so that no
 * other file slips between.
 */
export const kekFiles: KekFiles = {
  async read(path) {
    const handle = await open(path, 'r').catch(absent)
    if (handle === undefined) return undefined
    try {
      const { mode } = await handle.stat()
      const buffer = Buffer.alloc(MOST_SECRET_BYTES + 1)
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0)
      return { text: buffer.toString('utf8', 0, bytesRead), mode }
    } finally {
      await handle.close()
    }
  },

  async create(path, text) {
    const folder = dirname(path)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const handle = await open(path, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    // The name is durable only when its folder is.
    const folderHandle = await open(folder, 'r')
    try {
      await folderHandle.sync()
    } finally {
      await folderHandle.close()
    }
  },
}

function absent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
  throw error
}
