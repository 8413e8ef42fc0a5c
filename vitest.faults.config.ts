import { defineConfig } from 'vitest/config'

// biome-ignore lint/style/noDefaultExport: Vitest reads the default export.
export default defineConfig({
  test: {
    pool: 'threads',
    // One file computes while the others wait for their processes.
    maxWorkers: 2,
    globalSetup: 'test/support/scratch.ts',
    // Each test is told when it is over: a file takes minutes.
    reporters: ['verbose'],
    include: ['test/faults/**/*.test.ts'],
    // A run is a whole job: the loops take minutes on a small machine.
    testTimeout: 15 * 60_000,
    hookTimeout: 60_000,
  },
})
