import { readFile } from 'node:fs/promises'

import { expect, test } from 'vitest'

import { openMetrics } from './metrics.ts'

test('docs/monitoring.md explains every metric', async () => {
  const manual = await readFile(new URL('../../docs/monitoring.md', import.meta.url), 'utf8')
  const missing = openMetrics({ version: '1' }).families.filter(({ name }) => !manual.includes(`\`${name}\``))
  expect(missing.map(({ name }) => name)).toEqual([])
})

test('two servers in one process count apart', () => {
  const [one, two] = [openMetrics({ version: '1' }), openMetrics({ version: '1' })]
  one.internalErrors.of().add()
  expect([one.internalErrors.of().value, two.internalErrors.of().value]).toEqual([1, 0])
})
