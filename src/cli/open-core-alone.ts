import type { LoadedSettings } from '../config.ts'
import { type Core, type Edge, openCore } from '../open-core.ts'
import { openAlone } from './open-alone.ts'

/** Ledger and keys without a broker around them. @throws CommandError where a broker has the ledger; `instead` says what then */
export function openCoreAlone(settings: LoadedSettings, edge: Edge, instead: string): Promise<Core> {
  return openAlone(() => openCore(settings, edge), instead)
}
