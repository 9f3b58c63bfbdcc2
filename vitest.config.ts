import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/support/longest-first.ts'

// Every process that tests start keeps its compiled code, as servers do, in the same folder (bin/cellarium.js): compiling the sources
// anew, and taking the types out of them, is most of what a short-lived process does.
process.env['NODE_COMPILE_CACHE'] ||= fileURLToPath(new URL('node_modules/.cache/node-compile', import.meta.url))

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    pool: 'forks',
    // Most tests wait for other processes, for disks and for leases to end: with a worker
    // for each core a third of the cores’ time is idle.
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: LongestFirst },
    server: { deps: { external: [/\/build\//] } },
    // Nothing is proven by being quick: busy machines take many times as long.
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
