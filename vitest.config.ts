import { defineConfig } from 'vitest/config'

// biome-ignore lint/style/noDefaultExport: Vitest reads the default export.
export default defineConfig({
  test: {
    pool: 'threads',
    include: ['test/**/*.test.ts'],
    exclude: ['test/faults/**', 'test/interop/**'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
})
