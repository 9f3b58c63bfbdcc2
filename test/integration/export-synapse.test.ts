import { createHash } from 'node:crypto'
import { mkdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { findMedia } from '../../src/db/media.ts'
import { countsIn, databaseOf, importInto, type Ran, runCommand, startCommand } from '../support/importing.ts'
import { type Place, startPlace } from '../support/place.ts'
import { describeWith } from '../support/services.ts'
import { type SynapseScene, synapseScene } from '../support/synapse-scene.ts'
import { CREATED, type StoredBySynapse } from '../support/synapse-store.ts'

const PATIENT = { timeout: 120_000 }
const LINKED = 'brought there by a link'
const COPIED = 'brought there by a copy'
const KNOWN = 'there already'

const id = (index: number) => `AbCd${String(index).padStart(20, '0')}`
const text = (words: string) => Buffer.from(words)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

const everything: readonly StoredBySynapse[] = [
  { mediaId: id(1), bytes: text('plain'), name: 'grüße 🎉.txt', hashed: true, lastAccess: CREATED + 5000 },
  { mediaId: id(2), bytes: text('a picture, it says'), user: '@bob:example.org', hashed: true, type: 'image/png' },
  { mediaId: id(3), bytes: text(''), hashed: true },
  { mediaId: id(4), bytes: text('abuse'), quarantinedBy: '@admin:example.org', hashed: true },
  { mediaId: id(5), bytes: text('a sticker'), isProtected: true, hashed: true },
  { mediaId: id(6), bytes: text('frozen'), authenticated: true, hashed: true },
  { mediaId: 'remote_1', bytes: text('theirs'), origin: 'matrix.org:8448', hashed: true, type: 'image/webp' },
  { mediaId: 'remote-2', bytes: text('theirs, frozen'), origin: 'other.example', authenticated: true, hashed: true },
]

async function movedIn(
  media: readonly StoredBySynapse[],
  config = {},
): Promise<Place & { readonly from: SynapseScene }> {
  await using cleanup = new AsyncDisposableStack()
  const place = cleanup.use(await startPlace(config))
  const from = cleanup.use(await synapseScene())
  for (const one of media) await from.store.add(one)
  const imported = await importInto(place, 'synapse', ...from.flags)
  expect(imported.code, imported.text).toBe(0)
  const owned = cleanup.move()
  return { ...place, from, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const exportTo = (place: Place, to: SynapseScene, ...args: readonly string[]): Promise<Ran> =>
  runCommand('cellarium', ['export', 'synapse', '-c', place.server.configFile, ...to.flags, ...args], {
    folder: place.server.folder,
  })

describeWith('postgres', 'cellarium export synapse makes the rows and files that Synapse had made', () => {
  const LOCAL = 'SELECT * FROM local_media_repository ORDER BY media_id'
  const REMOTE = 'SELECT * FROM remote_media_cache ORDER BY media_origin, media_id'

  test.for([
    ['sqlite', []],
    ['postgres', ['--copy']],
  ] as const)('on %s', PATIENT, async ([engine, args]) => {
    await using place = await movedIn(everything)
    await using to = await synapseScene(engine)
    const rehearsed = await exportTo(place, to, ...args, '--dry-run')
    expect([rehearsed.code, countsIn(rehearsed.text)]).toEqual([0, { 'would be brought there': 8 }])
    expect([await to.query(LOCAL), (await to.files()).size]).toEqual([[], 0])

    const { code, text: said } = await exportTo(place, to, ...args)
    expect([code, countsIn(said)]).toEqual([0, { [engine === 'sqlite' ? LINKED : COPIED]: 8 }])
    expect((await to.query(LOCAL)).map(plain)).toEqual((await place.from.query(LOCAL)).map(plain))
    const withoutPlace = (row: object) => plain({ ...row, filesystem_id: '' })
    expect((await to.query(REMOTE)).map(withoutPlace)).toEqual((await place.from.query(REMOTE)).map(withoutPlace))
    await expectFiles(place.from, to)
    // Synapse makes no thumbnail of what it has no row for.
    const thumbnails = `SELECT thumbnail_width AS w, thumbnail_type AS t, thumbnail_length AS l FROM`
    const sizes = [32, 96, 320, 640, 800]
    const rows = (type: string) => sizes.map((w) => ({ w, t: type, l: null }))
    const order = 'ORDER BY thumbnail_width'
    expect(await to.query(`${thumbnails} local_media_repository_thumbnails ${order}`)).toEqual(rows('image/png'))
    expect(await to.query(`${thumbnails} remote_media_cache_thumbnails ${order}`)).toEqual(rows('image/jpeg'))
    const told = await to.query('SELECT media_id, origin, quarantined FROM quarantined_media_changes')
    expect(told.map(plain)).toEqual([{ media_id: id(4), origin: null, quarantined: 1 }])

    const checked = await exportTo(place, to, '--verify')
    expect([checked.code, countsIn(checked.text)]).toEqual([0, { 'there, whole, and as they are here': 8 }])
    const again = await exportTo(place, to, ...args)
    expect([again.code, countsIn(again.text)]).toEqual([0, { [KNOWN]: 8 }])
  })

  test('refuses what Synapse could not have, and says why', PATIENT, async () => {
    const huge = { mediaId: id(9), bytes: text('huge'), hashed: true }
    const short = { mediaId: 'abcd5', bytes: text('short'), hashed: true }
    const dated = { mediaId: 'AbCd2024-01-01', bytes: text('dated'), hashed: true }
    await using place = await movedIn([huge, short, dated])
    await using db = await databaseOf(place)
    // Ids that Synapse never gave, and a size that no test wants to write.
    await using setting = await startPlaceDatabase(place)
    await setting.execute(`
      PRAGMA foreign_keys = OFF;
      UPDATE objects SET size = 2147483648 WHERE sha256 = '${sha256(huge.bytes)}';
      UPDATE media SET media_id = 'abcd' WHERE media_id = 'abcd5';
      UPDATE media SET media_id = '2024-01-01_xyz' WHERE media_id = 'AbCd2024-01-01'`)
    expect(await findMedia(db.read, 'example.org', 'abcd')).toBeDefined()
    await using to = await synapseScene('postgres')
    const { code, text: said } = await exportTo(place, to)
    expect([code, countsIn(said)]).toEqual([0, { 'nothing that Synapse could have': 3 }])
    expect(said).toContain('2147483648 bytes are more than Synapse can note')
    expect(said).toContain('mxc://example.org/abcd  refused  Synapse cannot store ids of fewer than 5 characters')
    expect(said).toMatch(/2024-01-01_xyz {2}refused {2}Synapse takes an id that begins with a date/)
    expect([await to.query(LOCAL), (await to.files()).size]).toEqual([[], 0])
  })
})

/** Truth as SQLite has it, numbers as numbers. */
function plain(row: object): object {
  const values = Object.entries(row).map(([column, value]) => {
    const isNumber = typeof value === 'boolean' || /_ts$|_length$/.test(column)
    return [column, isNumber && value !== null ? Number(value) : value]
  })
  return Object.fromEntries(values)
}

const local = (files: ReadonlyMap<string, string>) =>
  Object.fromEntries([...files].filter(([path]) => path.startsWith('local_content/')))

/** The same bytes; local ones at the same places. */
async function expectFiles(from: SynapseScene, to: SynapseScene): Promise<void> {
  const [before, after] = [await from.files(), await to.files()]
  expect(local(after)).toEqual(local(before))
  for (const { origin = '', media_id: mediaId, filesystem_id: fs } of (await to.query(
    'SELECT media_origin AS origin, media_id, filesystem_id FROM remote_media_cache',
  )) as readonly Record<string, string>[]) {
    expect(fs).toMatch(/^[A-Za-z]{24}$/)
    const path = join('remote_content', origin, fs?.slice(0, 2) ?? '', fs?.slice(2, 4) ?? '', fs?.slice(4) ?? '')
    const stored = everything.find((one) => one.mediaId === mediaId)
    expect(after.get(path)).toBe(stored?.bytes.toString())
  }
  expect(after.size).toBe(before.size)
}

async function startPlaceDatabase(place: Place) {
  const { openHomeserverDatabase } = await import('../support/homeserver-database.ts')
  return await openHomeserverDatabase({ path: join(place.server.folder, 'data', 'cellarium.sqlite') })
}

describe('cellarium export synapse, where Synapse has something already', () => {
  test(
    'keeps its rows and files, gives back lost ones, and brings quarantine, protection and last use',
    PATIENT,
    async () => {
      await using place = await movedIn(everything)
      await using to = await synapseScene()
      const hashed = { hashed: true } as const
      // As it was before we came, but for what happened since.
      await to.store.add({ mediaId: id(1), bytes: text('plain'), name: 'its own name', lastAccess: CREATED, ...hashed })
      await to.store.add({ mediaId: id(2), bytes: text('something else'), ...hashed })
      await to.store.add({ mediaId: id(3), bytes: text(''), isPending: true })
      await to.store.add({ mediaId: id(4), bytes: text('abuse'), ...hashed })
      await to.store.add({ mediaId: id(5), bytes: text('a sticker'), isMissing: true })
      const stray = join(to.store.folder, 'local_content/Ab/Cd', id(6).slice(4))
      await mkdir(dirname(stray), { recursive: true })
      await writeFile(stray, 'half of')
      const { code, text: said } = await exportTo(place, to)
      expect([code, countsIn(said)]).toEqual([
        0,
        {
          [LINKED]: 2,
          [KNOWN]: 2,
          'given back the files that they had lost there': 1,
          'there with other content, which was kept': 2,
          'not brought: another file is in their place': 1,
        },
      ])
      expect(said).toMatch(new RegExp(`^mxc://example.org/${id(3)} {2}other_content {2}the id is reserved there`, 'm'))
      const rows = await to.query('SELECT * FROM local_media_repository ORDER BY media_id')
      expect(rows).toHaveLength(5)
      expect(rows[0]).toMatchObject({ upload_name: 'its own name', last_access_ts: CREATED + 5000 })
      expect(rows[1]).toMatchObject({ media_length: 14 })
      expect(rows[3]).toMatchObject({ quarantined_by: '@admin:example.org' })
      expect(rows[4]).toMatchObject({ safe_from_quarantine: 1 })
      const files = await to.files()
      expect(files.get(`local_content/Ab/Cd/${id(2).slice(4)}`)).toBe('something else')
      expect(files.get(`local_content/Ab/Cd/${id(5).slice(4)}`)).toBe('a sticker')
      expect(files.get(`local_content/Ab/Cd/${id(6).slice(4)}`)).toBe('half of')
      const checked = await exportTo(place, to, '--verify')
      expect([checked.code, countsIn(checked.text)]).toMatchObject([
        1,
        { 'not there yet': 1, 'there, whole, and as they are here': 5 },
      ])
    },
  )

  test('says what is lost or damaged here, and what was deleted here and is not there', PATIENT, async () => {
    const quarantined = { quarantinedBy: '@admin:example.org', hashed: true } as const
    await using place = await movedIn(
      [
        ...everything.slice(0, 3),
        { mediaId: id(11), bytes: text('purged abuse'), ...quarantined },
        { mediaId: id(12), bytes: text('lost abuse'), ...quarantined },
      ],
      { admins: ['@alice:example.org'] },
    )
    await using to = await synapseScene()
    await to.store.add({ mediaId: id(3), bytes: text(''), hashed: true })
    for (const index of [3, 11]) {
      const path = `/_matrix/media/unstable/admin/purge/example.org/${id(index)}`
      const headers = { authorization: 'Bearer alice-token', 'x-forwarded-host': 'example.org' }
      expect((await fetch(`${place.server.url}${path}`, { method: 'POST', headers })).status).toBe(200)
    }
    await using db = await databaseOf(place)
    const pathOf = async (index: number) =>
      join(place.mediaFolder, (await findMedia(db.read, 'example.org', id(index)))?.location ?? '')
    await rm(await pathOf(1))
    await truncate(await pathOf(2), 3)
    await rm(await pathOf(12))
    const { code, text: said } = await exportTo(place, to)
    expect([code, countsIn(said)]).toEqual([
      0,
      {
        'lost here: their files are gone': 1,
        'damaged: their files are not what the records say': 1,
        'deleted here, and still there': 1,
        'blocked there: quarantined, and without a file': 2,
      },
    ])
    const rows = await to.query('SELECT media_id, quarantined_by, sha256 FROM local_media_repository ORDER BY media_id')
    expect(rows).toEqual([
      { media_id: id(3), quarantined_by: null, sha256: sha256(text('')) },
      { media_id: id(11), quarantined_by: expect.any(String), sha256: sha256(text('purged abuse')) },
      { media_id: id(12), quarantined_by: '@admin:example.org', sha256: sha256(text('lost abuse')) },
    ])
    // What was lost is no half of a file there.
    expect([...(await to.files()).keys()]).toEqual([`local_content/Ab/Cd/${id(3).slice(4)}`])
  })

  test('goes on where it was killed, as often as it is, and all is there in the end', PATIENT, async () => {
    const media = Array.from({ length: 700 }, (_, index) => ({
      mediaId: id(index),
      bytes: text(`content ${index}`),
      hashed: true,
      ...(index % 3 === 0 ? { origin: 'other.example' } : {}),
    }))
    await using place = await movedIn(media)
    await using to = await synapseScene()
    const args = ['export', 'synapse', '-c', place.server.configFile, ...to.flags]
    for (let kill = 0; kill < 4; kill++) {
      const copy = kill % 2 === 0 ? ['--copy'] : []
      await using killed = await startCommand('cellarium', [...args, ...copy], { folder: place.server.folder })
      while (killed.running && !killed.lines.some((line) => line.includes('Exporting media'))) await pause(5)
      await pause(Math.random() * 200)
      await killed.stop('SIGKILL')
    }
    const { code, text: said } = await exportTo(place, to)
    expect([code, said]).toEqual([0, expect.stringMatching(/level=info msg="Export completed" records=700/)])
    const checked = await exportTo(place, to, '--verify')
    expect([checked.code, countsIn(checked.text)]).toEqual([0, { 'there, whole, and as they are here': 700 }])
    const own = [...(await to.files()).keys()].filter((path) => !path.startsWith('.cellarium-staging/'))
    expect(own).toHaveLength(700)
    const thumbnails = await to.query('SELECT count(*) AS rows FROM quarantined_media_changes')
    expect(thumbnails).toEqual([{ rows: 0 }])
  })
})

describe('cellarium export synapse refuses', () => {
  test('the database of another homeserver, a folder that is none, and a missing password', PATIENT, async () => {
    await using place = await movedIn([])
    await using to = await synapseScene()
    await to.store.add({ mediaId: id(1), bytes: text('x'), user: '@eve:elsewhere.example' })
    const other = await exportTo(place, to)
    expect([other.code, other.text]).toEqual([
      2,
      expect.stringContaining('is of elsewhere.example, not of example.org'),
    ])
    await using empty = await synapseScene()
    const none = await exportTo(place, empty, '--media-directory', join(empty.folder, 'none'))
    expect([none.code, none.text]).toEqual([2, expect.stringContaining('none cannot be used')])
    expect(await stat(join(empty.folder, 'none')).catch(() => undefined)).toBeUndefined()
    const folder = place.server.folder
    const base = ['export', 'synapse', '-c', place.server.configFile, '--media-directory', empty.store.folder]
    const asked = await runCommand('cellarium', base, { folder })
    expect([asked.code, asked.text]).toEqual([1, expect.stringContaining('--db-password, or as PGPASSWORD')])
  })
})
