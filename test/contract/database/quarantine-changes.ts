import { describe, expect, test } from 'vitest'
import { commitMedia } from '../../../src/db/media.ts'
import { quarantineContent, releaseContent } from '../../../src/db/moderation.ts'
import { lastQuarantineChange, type QuarantineChange, quarantineChanges } from '../../../src/db/quarantine-changes.ts'
import { quarantineNames } from '../../../src/db/quarantine-names.ts'
import { close, found, many, media, NOW, type OpenDatabase, pick } from './support.ts'

export function quarantineChangesContract(open: OpenDatabase): void {
  describe('What was quarantined and released', () => {
    test('stands in the order in which it happened, each name once for each time that it changed', async () => {
      await using under = await open()
      const { db } = under
      expect(await lastQuarantineChange(db.read)).toBe(1)
      expect(await quarantineChanges(db.read, { after: 0, limit: 9 })).toEqual([])
      const first = media()
      const copy = media({ origin: 'remote.example', kind: 'remote', uploader: null, object: found(first.object) })
      for (const one of [first, copy]) await db.write(commitMedia, one)
      const { sha256 } = first.object
      const at = NOW
      await db.write(quarantineContent, { sha256, origin: 'example.org', at })
      await db.write(quarantineContent, { sha256, origin: null, at })
      await db.write(quarantineContent, { sha256, origin: null, at })
      await db.write(releaseContent, { sha256 })

      const changes = await quarantineChanges(db.read, { after: 0, limit: 9 })
      expect(changes.map(({ origin, quarantined }) => [origin, quarantined]).slice(0, 2)).toEqual([
        ['example.org', true],
        ['remote.example', true],
      ])
      expect(
        changes
          .slice(2)
          .map(({ origin }) => origin)
          .toSorted(),
      ).toEqual(['example.org', 'remote.example'])
      expect(changes.slice(2).map(({ quarantined }) => quarantined)).toEqual([false, false])
      expect(changes.map(({ id }) => id)).toEqual([2, 3, 4, 5])
      expect(await lastQuarantineChange(db.read)).toBe(5)
      expect(await quarantineChanges(db.read, { after: 3, limit: 1 })).toEqual(changes.slice(2, 3))
    })

    test('is seen whole by whoever reads on and on, while several servers quarantine', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another(), await under.another()]
      const all = many(60, () => media())
      for (const one of all) await under.db.write(commitMedia, one)
      const done = new AbortController()
      const seen: QuarantineChange[] = []
      const readOn = async () => {
        const page = await quarantineChanges(under.db.read, { after: seen.at(-1)?.id ?? 0, limit: 7 })
        seen.push(...page)
        return page.length
      }
      const reading = (async () => {
        while (!done.signal.aborted) {
          await readOn()
          await new Promise((resolve) => setImmediate(resolve))
        }
      })()
      await Promise.all(
        many(20, (index) => {
          const meant = { names: all.slice(index * 3, index * 3 + 3), rules: {}, alsoDeleted: [] }
          return pick(dbs, index).write(quarantineNames, { ...meant, origin: null, at: NOW, by: null })
        }),
      )
      done.abort()
      await reading
      while ((await readOn()) > 0);
      expect(seen.map(({ id }) => id)).toEqual(many(60, (index) => index + 2))
      expect(seen.map(({ mediaId }) => mediaId).toSorted()).toEqual(all.map((one) => one.mediaId).toSorted())
      await close(dbs)
    })
  })
}
