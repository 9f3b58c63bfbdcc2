import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    pool: 'forks',
    // Most tests wait for other processes and for disks: with a worker for each core a third of the cores' time is idle.
    maxWorkers: availableParallelism() + 1,
    server: { deps: { external: [/\/build\//] } },
    // Nothing is proven by being quick: busy machines take many times as long.
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
