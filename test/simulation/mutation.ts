/** A planted bug: a wrapper over what a broker is given, never a changed product file. */
import type { Broker } from '../../src/broker/broker.ts'
import type { Schedule } from '../../src/broker/wake-loop.ts'
import type { Ledger } from '../../src/store/ledger.ts'
import type { World } from './world.ts'

export type Mutation = {
  name: string
  ledger?: (ledger: Ledger, world: World) => Ledger
  broker?: (broker: Broker, world: World) => Partial<Broker>
  reaperSchedule?: (schedule: Schedule) => Schedule
}
