/**
 * The thread that policies are compiled and judged in. What overruns Cedar's WebAssembly module ends this thread
 * and nothing else.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { canaryFault } from '../policy/cedar/canary.ts'
import { type CompiledPolicy, type CompiledSet, compilePolicies } from '../policy/cedar/compile.ts'
import { failed, judgeOrThrow } from '../policy/cedar/judge.ts'
import type { PolicyRequest, PolicyText, PolicyVerdict } from '../policy/facts.ts'
import type { ThreadAnswer, ThreadJob, ThreadQuestion, ThreadReady } from './thread.ts'

const port = parentPort
if (port === null) throw new Error('this runs in a worker thread only')
const tell = (message: ThreadReady | ThreadAnswer) => port.postMessage(message)

const { files, vocabulary } = workerData as ThreadJob
const fault = canaryFault()
const compiled = fault === undefined ? compilePolicies(files, vocabulary) : undefined
if (compiled === undefined) tell({ type: 'broken', fault: fault ?? '' })
else if (!compiled.ok) tell({ type: 'refused', problems: compiled.problems })
else {
  const { set } = compiled
  port.on('message', ({ id, request }: ThreadQuestion) => tell({ id, verdict: judge(set, request) }))
  const { hash, needs, reads } = set
  tell({ type: 'ready', loaded: { hash, needs, reads, policies: set.policies.map(textOf) } })
}

function textOf({ id, file, line, text, json }: CompiledPolicy): PolicyText {
  const description = json.annotations?.description
  return { id, place: `${file}:${line}`, text, ...(description === undefined ? {} : { description }) }
}

/** @throws where Cedar's module is broken: the thread ends, and another takes its place */
function judge(set: CompiledSet, request: string): PolicyVerdict {
  try {
    return judgeOrThrow(set, JSON.parse(request) as PolicyRequest)
  } catch (error) {
    const sick = isTrap(error) ? 'its memory' : canaryFault()
    if (sick !== undefined) throw new Error(`Cedar failed: ${sick}`, { cause: error })
    return failed(error instanceof Error ? error.name : 'unknown')
  }
}

/** A `WebAssembly.RuntimeError`, told by its name: the compiler's library for Node does not have the class. */
function isTrap(error: unknown): boolean {
  return error instanceof Error && error.name === 'RuntimeError'
}
