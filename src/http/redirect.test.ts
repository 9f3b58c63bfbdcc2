import { describe, expect, test } from 'vitest'
import { type Endpoint, mayRedirect } from './redirect.ts'

const RULES = { whenCached: false, federation: false }

describe('A redirect to the datastore', () => {
  test.each<[Endpoint, { allowRedirect: boolean; federation: boolean }, boolean]>([
    ['client', { allowRedirect: false, federation: false }, true],
    ['client', { allowRedirect: true, federation: true }, true],
    ['legacy', { allowRedirect: false, federation: true }, false],
    ['legacy', { allowRedirect: true, federation: false }, true],
    ['federation', { allowRedirect: true, federation: false }, false],
    ['federation', { allowRedirect: false, federation: true }, true],
  ])('for %s with %o: %s', (endpoint, { allowRedirect, federation }, expected) => {
    expect(mayRedirect({ endpoint, allowRedirect }, { ...RULES, federation })).toBe(expected)
  })
})
