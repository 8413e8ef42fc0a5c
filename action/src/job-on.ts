import type { Job } from './job.ts'
import { createMasks } from './masks.ts'
import { plainLines } from './plain.ts'
import type * as toolkit from './toolkit.ts'

/** Never the toolkit's summary, and its commands only through here. */
export type Core = typeof toolkit

/** The toolkit, and the process around it. */
export type Outside = { core: Core } & Pick<Job, 'env' | 'world' | 'onSignal' | 'run'>

/** Nothing reaches the log but what is plain text, without a secret that was masked. */
export function jobOn({ core, ...outside }: Outside): Job {
  const masks = createMasks(core.setSecret)
  const clean = (text: string) => plainLines(masks.scrub(text))
  return {
    ...outside,
    input: name => core.getInput(name),
    output: core.setOutput,
    exportVariable: core.exportVariable,
    saveState: core.saveState,
    state: core.getState,
    mask: masks.add,
    info: text => core.info(clean(text)),
    notice: text => core.notice(clean(text), { title: 'Mayfly' }),
    warning: text => core.warning(clean(text), { title: 'Mayfly' }),
    fail: text => core.setFailed(clean(text)),
  }
}
