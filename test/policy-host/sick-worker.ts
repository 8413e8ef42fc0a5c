/** Speaks the language of the thread that judges, and fails as the request or its own file says. */
import { existsSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import type { ThreadJob, ThreadQuestion, ThreadReady } from '../../src/policy-host/thread.ts'

const [file] = (workerData as ThreadJob).files
const loaded = {
  hash: 'sick',
  needs: { held: [], digest: false },
  reads: { context: null, claims: null, held: null },
  policies: [],
}
const ready: ThreadReady = existsSync(file?.name ?? '')
  ? { type: 'broken', fault: 'the canary is dead' }
  : { type: 'ready', loaded }
parentPort?.on('message', ({ id, request }: ThreadQuestion) => {
  if (request.includes('"purpose":"die"')) throw new Error('memory access out of bounds')
  while (request.includes('"purpose":"hang"'));
  const verdict = { outcome: 'allow', determining: ['well'], reasons: [], requires: [], nearest: [] }
  parentPort?.postMessage({ id, verdict })
})
parentPort?.postMessage(ready)
