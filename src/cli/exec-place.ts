/** Where the command of `mayfly exec` can ask for what its task was granted: a local server for as long as it runs. */
import { join } from 'node:path'
import { type RunningSidecar, startSidecar } from '../sidecar/sidecar.ts'
import type { Place } from './child-environment.ts'
import { note } from './print.ts'
import { reserveSecretFile } from './secret-file.ts'
import type { Terminal } from './terminal.ts'

export type LocalServer = {
  sidecar: RunningSidecar
  /** @param withFile the AWS token goes into a file instead of a variable */
  place(withFile: boolean): Promise<Place>
  /** Nobody is answered any more, and the folder is gone. */
  close(): Promise<void>
}

/**
 * @param listens false: what the task holds is kept, and nobody can ask for it
 * @param forAws whether AWS SDKs are to ask: they know no sockets
 */
export async function startLocalServer(
  terminal: Terminal,
  { listens, forAws }: { listens: boolean; forAws: boolean },
): Promise<LocalServer> {
  const report = () =>
    note(terminal, 'the local credential server had a fault: a request was answered with 500')
  if (!listens) return local(terminal, await startSidecar(terminal, { loopback: false, report }), undefined)
  const folder = await terminal.makeFolder()
  try {
    const path = join(folder, 'mayfly.sock')
    const socket = { socket: { path, claim: false }, loopback: forAws, report }
    // Where there are no sockets, or their paths are too long, there is still the loopback.
    const sidecar = await startSidecar(terminal, socket).catch(() =>
      startSidecar(terminal, { loopback: true, report }),
    )
    return local(terminal, sidecar, folder)
  } catch (error) {
    await terminal.removeFolder(folder)
    throw error
  }
}

function local(terminal: Terminal, sidecar: RunningSidecar, folder: string | undefined): LocalServer {
  return {
    sidecar,
    async place(withFile) {
      const { loopback } = sidecar
      if (loopback === undefined) return { variables: sidecar.variables(), aws: undefined }
      const token = loopback.tokens.aws.reveal()
      const tokenFile =
        withFile && folder !== undefined
          ? await writeToken(terminal, join(folder, 'aws-token'), token)
          : undefined
      return { variables: sidecar.variables(), aws: { url: `${loopback.url}/aws/`, token, tokenFile } }
    },
    async close() {
      await sidecar.close()
      if (folder !== undefined) await terminal.removeFolder(folder)
    },
  }
}

/** botocore refuses a token with a line break, so there is none at the end. */
async function writeToken(terminal: Terminal, path: string, token: string): Promise<string> {
  const file = await reserveSecretFile(terminal, path, { onExisting: 'It was just made.' })
  await file.commit(token)
  return path
}
