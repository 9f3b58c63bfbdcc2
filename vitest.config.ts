import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    pool: 'forks',
    // Most tests wait for other processes and for disks.
    maxWorkers: Math.max(2, availableParallelism()),
    server: { deps: { external: [/\/build\//] } },
    // Nothing is proven by being quick: busy machines take many times as long.
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
