import { expect, test } from 'vitest'
import { workerCount } from './worker-count.ts'

const GIB = 1024 ** 3

test.each<[string, number, { cores: number; gib: number }, number]>([
  ['the cores, where there is memory for them', 100, { cores: 4, gib: 8 }, 4],
  ['the option', 2, { cores: 4, gib: 8 }, 2],
  ['the memory of a small container on a large machine', 100, { cores: 32, gib: 2 }, 4],
  ['at least one', 100, { cores: 2, gib: 0.25 }, 1],
])('the number of thumbnail workers is given by %s', (_, configured, { cores, gib }, expected) => {
  expect(workerCount(configured, { cores, memoryBytes: gib * GIB })).toBe(expected)
})
