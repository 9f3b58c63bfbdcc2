import { expect, test } from 'vitest'
import { AdminPanel } from '../support/admin-panel.ts'
import { noise } from '../support/images.ts'
import { describeWith } from '../support/services.ts'
import { ourSide, SERVER_NAME } from '../support/two-sides.ts'

const idsOf = (rows: readonly Readonly<Record<string, unknown>>[]) => rows.map((row) => row['media_id'])

describeWith('synapse', 'An administrator with the panel synapse-admin', () => {
  test('finds, protects, quarantines and deletes what a user has uploaded', { timeout: 120_000 }, async () => {
    await using side = await ourSide()
    const [alice, token] = [`@alice:${SERVER_NAME}`, side.user('alice').accessToken]
    const upload = async (width: number) => {
      const body = await noise({ width, height: 40 }).png().toBuffer()
      const path = `/_matrix/media/v3/upload?filename=${width}.png`
      const got = await side.ask(path, { method: 'POST', token, body, type: 'image/png' })
      return (
        String((got.body as Record<string, unknown>)['content_uri'])
          .split('/')
          .at(-1) ?? ''
      )
    }
    const [small, middle, large] = [await upload(40), await upload(50), await upload(60)]
    const panel = new AdminPanel(side, side.user('admin').accessToken, SERVER_NAME)
    const newest = { page: 1, perPage: 2, sort: { field: 'created_ts', order: 'DESC' } } as const

    const first = await panel.userMedia(alice, newest)
    expect([idsOf(first.rows), first.total]).toEqual([[large, middle], 3])
    const rest = await panel.userMedia(alice, { ...newest, page: 2 })
    expect([idsOf(rest.rows), rest.total]).toEqual([[small], 3])
    const bySize = await panel.userMedia(alice, { page: 1, perPage: 10, sort: { field: 'media_length', order: 'ASC' } })
    expect(idsOf(bySize.rows)).toEqual([small, middle, large])

    const users = { page: 1, perPage: 10, sort: { field: 'media_length', order: 'DESC' } } as const
    const everybody = await panel.statistics({ ...users, filter: { search_term: 'ali' } })
    expect(everybody).toMatchObject({ rows: [{ user_id: alice, media_count: 3 }], total: 1 })
    expect(await panel.statistics({ ...users, filter: { search_term: 'zoe' } })).toEqual({ rows: [], total: 0 })

    const rowOf = async (id: string) =>
      (await panel.userMedia(alice, { ...newest, perPage: 10 })).rows.find((row) => row['media_id'] === id)
    expect(await panel.protect(small)).toEqual({})
    expect(await rowOf(small)).toMatchObject({ safe_from_quarantine: true })
    await panel.unprotect(small)
    expect(await rowOf(small)).toMatchObject({ safe_from_quarantine: false })

    expect((await panel.picture(middle)).status).toBe(200)
    await panel.quarantine(middle)
    expect(await rowOf(middle)).toMatchObject({ quarantined_by: `@admin:${SERVER_NAME}` })
    expect((await panel.picture(middle)).status).toBe(404)
    await panel.unquarantine(middle)
    expect(await rowOf(middle)).toMatchObject({ quarantined_by: null })
    expect((await panel.picture(middle)).status).toBe(200)

    expect(await panel.remove(large)).toEqual({ deleted_media: [large], total: 1 })
    expect((await panel.picture(large)).status).toBe(404)
    expect(await panel.purgeRemote(Date.now())).toEqual({ deleted: 0 })
    expect(await panel.removeOld(Date.parse('2020-01-01'), 0, true)).toEqual({ deleted_media: [], total: 0 })
    const profile = `/_matrix/client/v3/profile/${encodeURIComponent(alice)}/avatar_url`
    await side.ask(profile, { method: 'PUT', token, body: { avatar_url: `mxc://${SERVER_NAME}/${small}` } })
    const later = Date.now() + 3_600_000
    expect(await panel.removeOld(later, 0, true)).toEqual({ deleted_media: [middle], total: 1 })
    expect(await panel.removeOld(later, 0, false)).toEqual({ deleted_media: [small], total: 1 })
    expect((await panel.userMedia(alice, newest)).total).toBe(0)
  })
})
