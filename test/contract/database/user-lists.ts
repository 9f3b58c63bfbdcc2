import type { CompiledQuery } from '#kysely'
import { describe, expect, test } from 'vitest'
import { commitMedia, touchMedia } from '../../../src/db/media.ts'
import { quarantineContent } from '../../../src/db/moderation.ts'
import { setProtection } from '../../../src/db/protection.ts'
import { uploadsOfUser } from '../../../src/db/usage-lists.ts'
import { countUserMedia, standingOf, type UserMediaOrder, userMedia } from '../../../src/db/user-media.ts'
import { ALICE, found, media, NOW, object, type OpenDatabase } from './support.ts'

const sized = (content: string, size: number) => ({ ...object(content), size })

export function userListsContract(open: OpenDatabase): void {
  describe("A user's media", () => {
    test('are listed by each column in both directions; equal ones by their ids, and what has no value as the least', async () => {
      await using under = await open()
      const { db } = under
      const a = media({ mediaId: 'a', uploadName: 'z', createdAt: NOW + 2, object: sized('one', 5) })
      const b = media({ mediaId: 'b', contentType: 'image/png', createdAt: NOW + 1, object: sized('two', 7) })
      const c = media({ mediaId: 'c', uploadName: 'y', createdAt: NOW + 3, object: found(a.object) })
      const others = [media({ uploader: '@bob:example.org' }), media({ origin: 'remote.example' })]
      for (const one of [b, a, c, ...others]) await db.write(commitMedia, one)
      await db.write(touchMedia, [{ origin: 'example.org', mediaId: 'a', at: NOW + 9 }])
      await db.write(setProtection, { origin: 'example.org', mediaId: 'c', at: NOW, by: ALICE })
      await db.write(quarantineContent, { sha256: b.object.sha256, origin: null, at: NOW, by: '@admin:example.org' })

      const of = { origin: 'example.org', uploader: ALICE }
      const ids = async (orderBy: UserMediaOrder, direction: 'asc' | 'desc') =>
        (await userMedia(db.read, { ...of, orderBy, direction, offset: 0, limit: 9 }))
          .map(({ mediaId }) => mediaId)
          .join('')
      const orders: Readonly<Record<UserMediaOrder, readonly [string, string]>> = {
        mediaId: ['abc', 'cba'],
        uploadName: ['bca', 'acb'],
        createdAt: ['bac', 'cab'],
        accessedAt: ['bca', 'acb'],
        size: ['acb', 'bac'],
        contentType: ['acb', 'bac'],
        quarantinedBy: ['acb', 'bac'],
        isProtected: ['abc', 'cab'],
      }
      for (const [orderBy, [up, down]] of Object.entries(orders) as [UserMediaOrder, readonly [string, string]][]) {
        expect([await ids(orderBy, 'asc'), await ids(orderBy, 'desc')], orderBy).toEqual([up, down])
      }
      expect(await countUserMedia(db.read, of)).toBe(3)
      const page = await userMedia(db.read, { ...of, orderBy: 'mediaId', direction: 'asc', offset: 1, limit: 1 })
      expect(page).toMatchObject([{ mediaId: 'b', size: 7, quarantinedBy: '@admin:example.org', protectedAt: null }])
      expect(await standingOf(db.read, { origin: 'example.org', mediaId: 'c' })).toEqual({
        quarantinedBy: null,
        protectedAt: NOW,
      })
      expect(await standingOf(db.read, { origin: 'example.org', mediaId: 'd' })).toBeUndefined()
    })

    test('are found by an index of theirs, however much their server has', async () => {
      await using under = await open()
      const { db } = under
      // PostgreSQL decides by what is in its tables.
      if (db.engine !== 'sqlite') return
      const plans: string[] = []
      const explaining = new Proxy(db.read, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target)
          if (name !== 'executeQuery') return typeof value === 'function' ? value.bind(target) : value
          return async (query: CompiledQuery) => {
            const { rows } = await target.executeQuery({ ...query, sql: `EXPLAIN QUERY PLAN ${query.sql}` })
            plans.push(...rows.map((row) => String((row as Record<string, unknown>)['detail'])))
            return { rows: [] }
          }
        },
      })
      await uploadsOfUser(explaining, {
        server: 'example.org',
        userId: ALICE,
        after: { at: 0, mediaId: '' },
        limit: 5,
      })
      expect(plans).toEqual([expect.stringContaining('COVERING INDEX media_by_uploader (uploader=?')])
    })

    test('that nobody is noted to have quarantined were so by the system', async () => {
      await using under = await open()
      const one = media()
      await under.db.write(commitMedia, one)
      await under.db.write(quarantineContent, { sha256: one.object.sha256, origin: null, at: NOW })
      const of = { origin: 'example.org', uploader: ALICE }
      const list = { ...of, orderBy: 'createdAt', direction: 'asc', offset: 0, limit: 9 } as const
      expect(await userMedia(under.db.read, list)).toMatchObject([{ quarantinedBy: 'system' }])
    })
  })
}
