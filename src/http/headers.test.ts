import { expect, test } from 'vitest'
import { presentedOf } from './headers.ts'

test('what another server names without end is sent in a header that clients and proxies take', () => {
  const file = { contentType: 'text/plain', fileName: `${'長'.repeat(5000)}.txt`, disposition: 'inline' } as const
  expect(presentedOf(file).disposition.length).toBeLessThan(3000)
})
