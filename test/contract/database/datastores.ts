import { describe, expect, test } from 'vitest'
import { datastoresInUse } from '../../../src/db/datastores-in-use.ts'
import { commitMedia } from '../../../src/db/media.ts'
import { many, media, object, type OpenDatabase } from './support.ts'

export function datastoresContract(open: OpenDatabase): void {
  describe('The datastores that objects lie in', () => {
    test('are none at first, then each one once, in bytewise order', async () => {
      await using under = await open()
      expect(await datastoresInUse(under.db.read)).toEqual([])
      const places = ['b', 'a', 'B', 'é', 'a b', 'b', 'a', 'b']
      await Promise.all(
        many(places.length, (index) =>
          under.db.write(
            commitMedia,
            media({ object: { ...object(`file ${index}`), datastore: places[index] ?? '' } }),
          ),
        ),
      )
      expect(await datastoresInUse(under.db.read)).toEqual(['B', 'a', 'a b', 'b', 'é'])
    })
  })
}
