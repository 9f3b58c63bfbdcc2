import { expect, test } from 'vitest'
import { ranking } from './ring.ts'

const keys = Array.from({ length: 3000 }, (_, index) => `key ${index}`)
const home = (names: readonly string[]) => new Map(keys.map((key) => [key, ranking(names, key)[0]]))

test('Keys are spread evenly over the servers, whatever order those are configured in', () => {
  const homes = home(['a', 'b', 'c'])
  expect(home(['c', 'a', 'b'])).toEqual(homes)
  for (const name of ['a', 'b', 'c']) {
    const share = [...homes.values()].filter((found) => found === name).length
    expect(share).toBeGreaterThan(850)
    expect(share).toBeLessThan(1150)
  }
})

test('A server that comes takes keys only to itself; one that goes leaves the others their own', () => {
  const [two, three] = [home(['a', 'b']), home(['a', 'b', 'c'])]
  for (const key of keys) {
    if (three.get(key) !== 'c') expect(three.get(key)).toBe(two.get(key))
  }
})
