import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { MapNode, Node } from './tree.ts'
import { asTree, mapNode, merge, mergeMaps, pathName, placeOf, plain } from './tree.ts'

const place = { file: 'test.yaml', line: 1 }
const tree = (values: Readonly<Record<string, unknown>>) => asTree(values, place)

/** Trees in which a key always means the same kind of thing, as in a configuration: maps m…, lists l…, scalars s…. */
const { root } = fc.letrec<{ root: Record<string, unknown>; entry: [string, unknown] }>((tie) => ({
  root: fc.array(tie('entry'), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
  entry: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.tuple(fc.constantFrom('s1', 's2', 's3'), fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.constant(null))),
    fc.tuple(fc.constantFrom('l1', 'l2'), fc.array(fc.integer(), { maxLength: 3 })),
    fc.tuple(fc.constantFrom('m1', 'm2'), tie('root')),
  ),
}))

describe('Laying files over each other', () => {
  test('it does not matter which neighbours are merged first', () => {
    fc.assert(
      fc.property(root, root, root, (a, b, c) => {
        const [x, y, z] = [tree(a), tree(b), tree(c)]
        expect(plain(merge(merge(x, y), z))).toEqual(plain(merge(x, merge(y, z))))
      }),
    )
  })

  test('the later file wins, and nothing of either is lost', () => {
    fc.assert(
      fc.property(root, root, (a, b) => {
        expectMerged(merge(tree(a), tree(b)), tree(a), tree(b))
      }),
    )
  })

  test('a file over itself, or over nothing, is itself', () => {
    fc.assert(
      fc.property(root, (a) => {
        expect(plain(merge(tree(a), tree(a)))).toEqual(a)
        expect(plain(merge(mapNode(place), tree(a)))).toEqual(a)
        expect(plain(merge(tree(a), mapNode(place)))).toEqual(a)
      }),
    )
  })

  test('maps grow, lists and values are replaced, null leaves things as they are', () => {
    const below = tree({ downloads: { maxBytes: 1, numWorkers: 2 }, admins: ['@a:x'], uploads: { maxBytes: 5 } })
    const above = tree({ downloads: { maxBytes: 9 }, admins: ['@b:x'], uploads: { maxBytes: null } })
    expect(plain(mergeMaps(below, above))).toEqual({
      downloads: { maxBytes: 9, numWorkers: 2 },
      admins: ['@b:x'],
      uploads: { maxBytes: 5 },
    })
  })

  test('a value keeps the place where it was set', () => {
    const below = asTree({ uploads: { maxBytes: 1, minBytes: 2 } }, { file: 'a.yaml', line: 3 })
    const above = asTree({ uploads: { minBytes: 7 } }, { file: 'b.yaml', line: 8 })
    const merged = mergeMaps(below, above)
    expect(placeOf(merged, ['uploads', 'maxBytes'])).toEqual({ file: 'a.yaml', line: 3 })
    expect(placeOf(merged, ['uploads', 'minBytes'])).toEqual({ file: 'b.yaml', line: 8 })
  })

  test('a path reads as one would say it', () => {
    expect(pathName(['uploads', 'quotas', 'users', 0, 'glob'])).toBe('uploads.quotas.users[0].glob')
  })
})

function expectMerged(merged: Node | undefined, below: MapNode, above: MapNode): void {
  if (merged?.kind !== 'map') throw new Error('a merge of maps is a map')
  expect(new Set(merged.entries.keys())).toEqual(new Set([...below.entries.keys(), ...above.entries.keys()]))
  for (const [key, node] of merged.entries) {
    const [lower, upper] = [below.entries.get(key), above.entries.get(key)]
    if (lower?.kind === 'map' && upper?.kind === 'map') expectMerged(node, lower, upper)
    else expect(plain(node)).toEqual(expectedValue(lower, upper))
  }
}

function expectedValue(lower: Node | undefined, upper: Node | undefined): unknown {
  const set = upper !== undefined && plain(upper) !== null
  const winner = set || lower === undefined ? upper : lower
  return winner && plain(winner)
}
