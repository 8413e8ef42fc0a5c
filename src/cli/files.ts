/** A terminal's files: what is read is bounded, and what is secret is written whole, for its owner alone. */
import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { SecretFile, Terminal } from './terminal.ts'

export const readFileWithMode: Terminal['readFile'] = async (path, maxBytes) => {
  const file = await open(path, 'r')
  try {
    const { mode } = await file.stat()
    return { text: await readAll(file.createReadStream({ autoClose: false }), maxBytes), mode }
  } finally {
    await file.close()
  }
}

/** UTF-8 to its end. @throws Error with code `EFBIG` past `maxBytes` */
export async function readAll(stream: NodeJS.ReadableStream, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.byteLength
    if (size > maxBytes) throw Object.assign(new Error(`more than ${maxBytes} bytes`), { code: 'EFBIG' })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size).toString('utf8')
}

export async function createSecretFile(path: string, { replace = false } = {}): Promise<SecretFile> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const reserved = replace ? `${path}.${randomBytes(8).toString('hex')}` : path
  const file = await open(reserved, 'wx', 0o600)
  let committed = false
  return {
    async commit(text) {
      await file.writeFile(text)
      await file.sync()
      if (replace) await rename(reserved, path)
      committed = true
      await file.close()
    },
    async discard() {
      if (committed) return
      await file.close()
      await rm(reserved, { force: true })
    },
  }
}
