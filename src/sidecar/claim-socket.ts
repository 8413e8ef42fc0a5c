/** A socket at a path that others know: taken once, and again only where nobody answers at it. */
import { randomUUID } from 'node:crypto'
import { lstat, mkdir, rename, rm, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { type Answerer, type Listening, listenOnSocket } from './listen.ts'

/** The path cannot be used, and what to do about it. */
export class SocketUnusable extends Error {
  override name = 'SocketUnusable'
}

const ATTEMPTS = 5

/** @param path absolute, in a folder that lets in its owner alone; it is made where there is none. @throws SocketUnusable */
export async function claimSocket(answerer: Answerer, path: string): Promise<Listening> {
  if (Buffer.byteLength(path) > LONGEST_PATH)
    throw new SocketUnusable(`the path of a socket has at most ${LONGEST_PATH} bytes: ${path}`)
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { mode } = await stat(folder)
  if ((mode & 0o077) !== 0)
    throw new SocketUnusable(
      `${folder} lets others in (mode ${(mode & 0o777).toString(8)}): whoever reaches the socket has its credentials.\n` +
        `  chmod 700 ${folder}, or name a socket in another folder`,
    )
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    try {
      return await listenOnSocket(answerer, path)
    } catch (cause) {
      const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error'
      if (code !== 'EADDRINUSE')
        throw new SocketUnusable(`${path} cannot be listened on (${code})`, { cause })
    }
    await clearStale(path)
  }
  throw new SocketUnusable(`others take ${path} again and again`)
}

/** sockaddr_un has 104 bytes on macOS and 108 on Linux, one of them for its end. */
const LONGEST_PATH = 103

/**
 * Two that find the same stale socket may both get here, and one of them may have taken its place already: what is
 * moved aside is looked at again, and put back where somebody answers.
 */
async function clearStale(path: string): Promise<void> {
  if (await isAnswered(path)) throw inUse(path)
  const aside = `${path}.${randomUUID().slice(0, 8)}`
  try {
    // A file that is no socket is nobody's to remove.
    if (!(await lstat(path)).isSocket()) throw new SocketUnusable(`${path} is there, and is no socket`)
    await rename(path, aside)
  } catch (error) {
    // Somebody else has cleared it.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
    throw error
  }
  if (await isAnswered(aside)) {
    await rename(aside, path)
    throw inUse(path)
  }
  await rm(aside, { force: true })
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false)
      else reject(new SocketUnusable(`${path} cannot be looked at (${error.code})`))
    })
  })
}

function inUse(path: string): SocketUnusable {
  return new SocketUnusable(
    `another mayfly agent answers at ${path}.\n  Use that one, or name another socket with --socket`,
  )
}
