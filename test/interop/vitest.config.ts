import { defineConfig } from 'vitest/config'

/** Run by `run.sh`, which starts the counterparts and passes their addresses in the environment. */
// biome-ignore lint/style/noDefaultExport: Vitest reads the default export.
export default defineConfig({
  test: {
    pool: 'threads',
    include: ['test/interop/**/*.test.ts'],
    // One radosgw, and tests that write policies on its one role.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 30_000,
  },
})
