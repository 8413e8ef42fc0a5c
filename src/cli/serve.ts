import { startServer } from '../server.ts'
import type { Terminal } from './terminal.ts'

/** `mayfly serve`: runs until SIGTERM or SIGINT; SIGHUP reads the configuration again. */
export async function serve(terminal: Terminal, { config }: { config: string }): Promise<void> {
  const edge = await terminal.edge()
  const server = await startServer(config, edge)
  terminal.onSignal('SIGHUP', () => {
    server.reload().catch(error => {
      edge.log.error({ err: error }, `the configuration stays as it was: ${(error as Error).message}`)
    })
  })
  await new Promise<void>(resolve => {
    terminal.onSignal('SIGTERM', resolve)
    terminal.onSignal('SIGINT', resolve)
  })
  edge.log.info({}, 'stopping: requests in flight finish first')
  await server.stop()
  edge.log.info({}, 'stopped')
}
