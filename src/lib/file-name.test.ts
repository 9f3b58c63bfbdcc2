import { expect, test } from 'vitest'
import { fittingFileName } from './file-name.ts'

test('a name is no longer than that of an upload, its ending kept and no letter cut in two', () => {
  expect(fittingFileName('grüße 🎉.txt')).toBe('grüße 🎉.txt')
  expect(fittingFileName('長'.repeat(255))).toBe('長'.repeat(255))
  expect(fittingFileName(`${'🎉'.repeat(5000)}.txt`)).toBe(`${'🎉'.repeat(125)}.txt`)
  expect(fittingFileName(`${'a'.repeat(300)}.${'b'.repeat(300)}`)).toBe('a'.repeat(255))
})
