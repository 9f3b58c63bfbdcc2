import { mkdir, rename, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { openDatabase } from '../../src/db/connect.ts'
import { takeLease } from '../../src/db/leases.ts'
import { type HomeserverDouble, startHomeserver } from '../support/homeserver.ts'
import {
  cellarium,
  configOf,
  expectedOfMmr,
  filesOfMmr,
  type MmrPlace,
  mmrOfFixture,
  untilCopied,
} from '../support/mmr.ts'
import { mediaClient } from '../support/media-client.ts'
import { type Server, startServer } from '../support/server.ts'
import { describeWith } from '../support/services.ts'

const ADMIN = { token: 'token-of-admin', userId: '@admin:localhost' }

describeWith('postgres', 'Switching between matrix-media-repo and Cellarium', () => {
  test('serves and moderates what is not copied yet, and lets what concerns many wait', async () => {
    await using place = await openPlace()
    const { mmr } = place
    await holdTheCopy(mmr)
    await using server = await place.start()
    const names = async () => (await mmr.query('SELECT media_id FROM cellarium.media')).map((row) => row['media_id'])
    const { media } = await expectedOfMmr()
    const quarantined = media.filter((one) => one.quarantined)
    expect(await names()).toHaveLength(quarantined.length)

    const client = mediaClient(server, ADMIN.token, 'localhost')
    const [shared = [], ...others] = [...Map.groupBy(media.filter(isServed), ({ sha256 }) => sha256).values()].toSorted(
      (a, b) => b.length - a.length,
    )
    const [read, deleted, shown] = others.map(([one]) => nameOf(one))
    if (!read || !deleted || !shown) throw new Error('the fixture has more')
    expect((await client.download(read)).status).toBe(200)
    expect(await names()).toHaveLength(quarantined.length + 1)
    const info = await place.ask(server, `/_matrix/media/unstable/info/${shown}`)
    expect(info.status).toBe(200)

    expect(shared.length).toBe(5)
    const quarantine = `/_matrix/media/unstable/admin/quarantine/${nameOf(shared[0])}`
    const answer = await place.ask(server, quarantine, 'POST')
    expect(await answer.json()).toMatchObject({ num_quarantined: 5 })
    for (const one of shared) expect((await client.download(nameOf(one))).status).toBe(404)

    const purged = await place.ask(server, `/_matrix/media/unstable/admin/purge/${deleted}`, 'POST')
    expect(await purged.json()).toMatchObject({ purged: true })
    expect((await client.download(deleted)).status).toBe(404)

    const many = await place.ask(server, '/_matrix/media/unstable/admin/purge/user/@alice:localhost', 'POST')
    expect([many.status, await many.text()]).toEqual([503, expect.stringContaining('still being copied')])

    await mmr.query('DELETE FROM cellarium.leases')
    await untilCopied(mmr)
    expect((await client.download(deleted)).status).toBe(404)
    for (const one of shared) expect((await client.download(nameOf(one))).status).toBe(404)
    const all = media.filter(({ kind }) => kind !== 'thumbnail_copy')
    expect(await names()).toHaveLength(all.length - 1)
  }, 120_000)

  test('copies at each return what matrix-media-repo changed, and lists what it would not see', async () => {
    await using place = await openPlace()
    const { mmr } = place
    const media = (await expectedOfMmr()).media
      .filter(isServed)
      .filter(({ pinned, requires_auth: frozen }) => !pinned && !frozen)
    const alone = media.filter((one) => media.filter(({ sha256 }) => sha256 === one.sha256).length === 1)
    const [deleted, quarantined, moved, frozen, pinned, keptHere] = alone.map(nameOf)
    if (!deleted || !quarantined || !moved || !frozen || !pinned || !keptHere) throw new Error('the fixture has more')
    const upload = await place.during(async (server) => {
      await untilCopied(mmr)
      const done = await mediaClient(server, ADMIN.token, 'localhost').upload(
        Buffer.from('while Cellarium was at work'),
      )
      await place.ask(server, `/_matrix/media/unstable/admin/quarantine/${keptHere}`, 'POST')
      return done.media
    })

    await mmr.query(`DELETE FROM public.media WHERE ${id(deleted)}`)
    await mmr.query(`UPDATE public.media SET quarantined = true WHERE ${id(quarantined)}`)
    await mmr.query(`UPDATE public.media SET location = 'ne/ww/elsewhere' WHERE ${id(moved)}`)
    await mmr.query(`UPDATE public.thumbnails SET location = 'ne/ww/elsewhere' WHERE location = '${locationOf(moved)}'`)
    await mkdir(join(mmr.media, 'ne/ww'), { recursive: true })
    await rename(join(mmr.media, locationOf(moved)), join(mmr.media, 'ne/ww/elsewhere'))
    await mmr.query(
      `INSERT INTO public.restricted_media SELECT origin, media_id, 'io.t2bot.requires_authentication', 'true' FROM public.media WHERE ${id(frozen)}`,
    )
    await mmr.query(
      `INSERT INTO public.media_attributes SELECT origin, media_id, 'pinned' FROM public.media WHERE ${id(pinned)}`,
    )
    await mmr.query(
      `INSERT INTO public.media SELECT origin, 'new', 'new.txt', content_type, user_id, sha256_hash, size_bytes, location, creation_ts, false, datastore_id FROM public.media WHERE ${id(pinned)}`,
    )

    const since = Date.now()
    await place.during(async (server) => {
      const client = mediaClient(server, ADMIN.token, 'localhost')
      // Before anything was compared.
      expect((await client.download('localhost/new')).status).toBe(200)
      expect((await client.download(quarantined)).status).toBe(404)
      await untilCopied(mmr, since)
      expect((await client.download(deleted)).status).toBe(404)
      expect((await client.download(quarantined)).status).toBe(404)
      expect((await client.download(moved)).status).toBe(200)
      expect((await client.download(keptHere)).status).toBe(404)
      expect((await client.download(upload)).status).toBe(200)
      const legacy = await fetch(`${server.url}/_matrix/media/v3/download/${frozen}`, {
        headers: { 'x-forwarded-host': 'localhost' },
      })
      expect(legacy.status).toBe(404)
      const [protectedNow] = await mmr.query(`SELECT protected_at FROM cellarium.media WHERE ${id(pinned)}`)
      expect(protectedNow?.['protected_at']).not.toBeNull()

      const listed = await cellarium('import', 'mmr', '--uploaded', '--config', server.configFile)
      expect(listed).toEqual({ code: 0, text: expect.stringContaining(`mxc://${upload}  @admin:localhost`) })
      expect(listed.text.split('\n')).toHaveLength(1)
      const status = await cellarium('import', 'mmr', '--status', '--json', '--config', server.configFile)
      expect(JSON.parse(status.text)).toMatchObject({
        state: 'copied',
        uploadedHere: 1,
        quarantinedHere: 1,
        deletedHere: 0,
      })
    })

    function locationOf(name: string): string {
      return media.find((one) => nameOf(one) === name)?.location ?? ''
    }
  }, 120_000)

  test('keeps every file that it names, until the take-over is finished', async () => {
    await using place = await openPlace()
    const { mmr } = place
    const other = join(mmr.folder, 'other')
    const second = { type: 'file', id: 'other', forKinds: [], opts: { path: other } }
    const before = await filesOfMmr(mmr)
    const orphan = 'zz/zz/nobodysidv2fmt'
    await mkdir(join(mmr.media, dirname(orphan)), { recursive: true })
    await writeFile(join(mmr.media, orphan), 'nobody names this')
    const aYearAgo = Date.now() / 1000 - 365 * 86_400
    for (const [file] of [...before, [orphan] as const]) await utimes(join(mmr.media, file), aYearAgo, aYearAgo)

    await place.during(
      async (server) => {
        await untilCopied(mmr)
        const purge = await place.ask(server, '/_matrix/media/unstable/admin/purge/user/@bob:localhost', 'POST')
        expect(await purge.json()).toMatchObject({ purged: true })
        const repair = ['datastores', 'check', '--repair', '--force', '--config', server.configFile]
        expect((await cellarium(...repair)).text).toContain('main')
        const transfer = ['datastores', 'transfer', 'main', 'other', '--config', server.configFile]
        expect(await cellarium(...transfer)).toMatchObject({ code: 0 })
        const client = mediaClient(server, ADMIN.token, 'localhost')
        const some = (await expectedOfMmr()).media.filter(isServed).find(({ user }) => user === '@carol:localhost')
        expect((await client.download(nameOf(some))).status).toBe(200)
        expect(
          await mmr.query(`SELECT count(*)::int AS moved FROM cellarium.objects WHERE datastore = 'main'`),
        ).toEqual([{ moved: 0 }])
        await mmr.query('UPDATE cellarium.unused_objects SET delete_after = 0')
        await mmr.query(`DELETE FROM cellarium.jobs WHERE name = 'unused objects'`)
      },
      [second],
    )
    // The orphan shows that the repair deleted what it may.
    expect(await filesOfMmr(mmr)).toEqual(before)

    await place.during(
      async (server) => {
        await untilCopied(mmr)
        const finished = await cellarium('import', 'mmr', '--finish', '--config', server.configFile)
        expect(finished).toMatchObject({ code: 0, text: expect.stringMatching(/^Finished\. 4\d files/) })
        await mmr.query('UPDATE cellarium.unused_objects SET delete_after = 0')
        await mmr.query(`UPDATE cellarium.jobs SET ended_at = 0 WHERE name = 'unused objects'`)
        await expect.poll(() => filesOfMmr(mmr), { timeout: 90_000, interval: 500 }).toEqual([])
      },
      [second],
    )
    await place.during(async () => {
      expect(await mmr.query('SELECT state FROM cellarium.mmr_take_over')).toEqual([{ state: 'finished' }])
    }, [second])
  }, 240_000)

  test('says what to do about tables of other versions', async () => {
    await using place = await openPlace()
    await place.mmr.query('DELETE FROM public.gomigrate WHERE migration_id = 29')
    const older = place.start()
    await expect(older).rejects.toThrow(
      /at migration 28; .* from migration 29: start matrix-media-repo 1\.3\.5 or later on it once/,
    )
    await place.mmr.query('INSERT INTO public.gomigrate (id, migration_id) VALUES (50, 29), (51, 30)')
    await expect(place.start()).rejects.toThrow(/at migration 30; .*a newer version of Cellarium/)
  }, 60_000)
})

interface Place extends AsyncDisposable {
  readonly mmr: MmrPlace
  readonly start: (datastores?: readonly object[]) => Promise<Server>
  /** Works while a server runs. */
  readonly during: <Result>(
    work: (server: Server) => Promise<Result>,
    datastores?: readonly object[],
  ) => Promise<Result>
  /** As administrator. */
  readonly ask: (server: Server, path: string, method?: string) => Promise<Response>
}

async function openPlace(): Promise<Place> {
  await using cleanup = new AsyncDisposableStack()
  const mmr = cleanup.use(await mmrOfFixture())
  const homeserver: HomeserverDouble = cleanup.use(await startHomeserver({ serverName: 'localhost' }))
  homeserver.addUser(ADMIN)
  const start = (more: readonly object[] = []) => {
    const config = configOf(mmr, homeserver.url)
    const repo = { useForwardedHost: true }
    return startServer({
      config: { ...config, repo, datastores: [...config.datastores, ...more] },
      folder: join(mmr.folder, 'server'),
    })
  }
  const owned = cleanup.move()
  return {
    mmr,
    start,
    during: async (work, more) => {
      await using server = await start(more)
      return await work(server)
    },
    ask: (server, path, method = 'GET') =>
      fetch(`${server.url}${path}`, {
        method,
        headers: { authorization: `Bearer ${ADMIN.token}`, 'x-forwarded-host': 'localhost' },
      }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** So that nothing is copied that no request names. */
async function holdTheCopy({ url }: MmrPlace): Promise<void> {
  const pool = { maxConnections: 2, maxIdleConnections: 1 }
  await using db = await openDatabase({ postgres: url, sqlite: '', pool }, 'server', pino({ level: 'silent' }))
  await db.write(takeLease, { name: 'task mmr_take_over', token: 'the test', ms: 3_600_000 })
}

const isServed = ({ kind, quarantined }: { kind: string; quarantined: boolean }) => kind === 'upload' && !quarantined
const nameOf = (media: { readonly mxc: string } | undefined) => (media?.mxc ?? '').slice('mxc://'.length)
/** In SQL: this media. */
const id = (name: string) => `media_id = '${name.slice('localhost/'.length)}'`
