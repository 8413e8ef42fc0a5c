import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// biome-ignore lint/style/noDefaultExport: Vitest reads the default export.
export default defineConfig({
  test: {
    pool: 'threads',
    // The house keeps no state in modules, so files may share them: half of the time went into loading them again.
    isolate: false,
    globalSetup: 'test/support/scratch.ts',
    // Many files wait for processes of their own: on two cores, two at once take half the time of one.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    include: ['test/**/*.test.ts'],
    exclude: ['test/faults/**', 'test/interop/**'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
})
