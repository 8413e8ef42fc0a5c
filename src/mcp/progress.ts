/** What takes long says that it goes on: clients that reset their time limit by it wait longer. */
import { MCP_LIMITS } from './limits.ts'
import type { Room } from './room.ts'
import type { Extra } from './tools.ts'

/** Told at once and then every few seconds, where the client wants to know. @param totalSeconds where it is known */
export async function withProgress<T>(
  room: Pick<Room, 'now' | 'schedule'>,
  { _meta = {}, sendNotification }: Extra,
  { message, totalSeconds }: { message: string; totalSeconds?: number },
  work: (say: (text: string) => void) => Promise<T>,
): Promise<T> {
  const { progressToken } = _meta
  if (progressToken === undefined) return work(() => {})
  const token = progressToken
  const began = room.now()
  let last = -1
  let saying = message
  let cancel = () => {}
  function tell(): void {
    cancel()
    // It must grow with each (MCP, "Progress").
    last = Math.max(last + 1, Math.round((room.now() - began) / 1_000))
    const told = {
      progress: last,
      message: saying,
      ...(totalSeconds !== undefined && { total: totalSeconds }),
    }
    // A client that is gone is told nothing.
    sendNotification({ method: 'notifications/progress', params: { progressToken: token, ...told } }).catch(
      () => {},
    )
    cancel = room.schedule(MCP_LIMITS.progressMs, tell)
  }
  tell()
  try {
    return await work(text => {
      saying = text
      tell()
    })
  } finally {
    cancel()
  }
}
