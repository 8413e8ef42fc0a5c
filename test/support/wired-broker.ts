/** A whole broker in this process, with humans to ask, behind a wire that a test can spoil. */
import type { RunningServer } from '../../src/server.ts'
import { type FaultyWire, startFaultyWire } from '../client/faulty-wire.ts'
import {
  type ConfigChanges,
  createInstallation,
  type Installation,
  startBroker,
} from '../fakes/installation.ts'
import { people } from './humans.ts'

export type WiredBroker = {
  installation: Installation
  broker: RunningServer
  wire: FaultyWire
  close(): Promise<void>
}

/** @param changes made to the configuration, looked at with what the installation has by itself */
export async function startWiredBroker(
  changes: (installation: Installation) => ConfigChanges = () => ({}),
): Promise<WiredBroker> {
  const installation = await createInstallation()
  await installation.configure(changes(installation))
  const broker = await startBroker(installation)
  broker.broker.people = people()
  const wire = await startFaultyWire(broker.url)
  return {
    ...{ installation, broker, wire },
    async close() {
      await wire.close()
      await broker.stop()
      await installation.close()
    },
  }
}
