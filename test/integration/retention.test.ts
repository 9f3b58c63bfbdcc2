import { describe, expect, test } from 'vitest'
import { commitMedia, findMedia } from '../../src/db/media.ts'
import { sweepTombstones } from '../../src/db/tombstones.ts'
import { expireMedia } from '../../src/media/expiry.ts'
import { previewRetention } from '../../src/media/retention.ts'
import { type LocalRule, type Retention, timed } from '../../src/media/retention-rules.ts'
import type { Engine } from '../support/care.ts'
import { DAY_MS, FOR_EVER, type Keeping, type Made, never, openKeeping } from '../support/retention.ts'
import { describeWith } from '../support/services.ts'

const local = (changes: Partial<LocalRule> = {}): Retention => {
  const all = { olderThanDays: 30, largerThanBytes: 0, types: [], users: [], servers: [] }
  return { ...FOR_EVER, local: [{ ...all, ...changes }] }
}

/** Each kind of media is there once in each of these states. */
const STATES: Readonly<Record<string, Made>> = {
  unused: {},
  young: { ageDays: 29 },
  read: { readDaysAgo: 29 },
  'read-an-hour-early': { readDaysAgo: 30.02 },
  noted: { noted: true },
  pinned: {},
  quarantined: {},
  shared: {},
}

/** Rules, and what of the scene goes by them. */
const TABLE: readonly { readonly title: string; readonly retention: Retention; readonly gone: readonly string[] }[] = [
  { title: 'nothing, where nothing is configured', retention: FOR_EVER, gone: [] },
  {
    title: 'media of other servers that nobody used, for downloads.expireAfterDays',
    retention: { ...FOR_EVER, remoteDays: 30 },
    gone: ['remote-unused', 'remote-shared'],
  },
  {
    title: 'uploads that nobody used, by a rule of an age',
    retention: local(),
    gone: ['upload-unused', 'upload-shared', 'large', 'film', 'bobs', 'elsewhere', 'thumbnail 1'],
  },
  { title: 'large uploads, by a rule of a size', retention: local({ largerThanBytes: 4999 }), gone: ['large'] },
  { title: 'films, by a rule of a type', retention: local({ types: ['video/*'] }), gone: ['film'] },
  { title: 'the uploads of some users', retention: local({ users: ['@b*:example.org'] }), gone: ['bobs'] },
  { title: 'the uploads of a homeserver', retention: local({ servers: ['*.example.org'] }), gone: ['elsewhere'] },
  {
    title: 'thumbnails that nobody used, for thumbnails.expireAfterDays',
    retention: { ...FOR_EVER, thumbnailDays: 30 },
    gone: ['thumbnail 1', 'thumbnail 2'],
  },
  {
    title: 'previews that nobody asked for, with their pictures, for urlPreviews.expireAfterDays',
    retention: { ...FOR_EVER, previewDays: 30 },
    gone: [
      'preview-unused',
      'preview-shared',
      'preview-nobody-shows',
      'preview-unused.example',
      'preview-shared.example',
      // These go, and their pictures stay.
      'preview-read.example',
      'preview-read-an-hour-early.example',
      'preview-noted.example',
      'preview-pinned.example',
      'preview-quarantined.example',
    ],
  },
]

async function makeScene(keeping: Keeping): Promise<void> {
  const { add, mark, thumbnail, preview } = keeping
  for (const kind of ['upload', 'remote', 'preview'] as const) {
    for (const [state, made] of Object.entries(STATES)) await add(kind, `${kind}-${state}`, made)
    // Its content has another name, which is young.
    await add('upload', `${kind}-copy`, { like: `${kind}-shared`, ageDays: 1, uploader: '@carol:example.org' })
  }
  for (const [state, { ageDays }] of Object.entries(STATES))
    await preview(`preview-${state}`, ageDays ? { ageDays } : {})
  for (const name of ['preview-asked-for', 'preview-asked-for-now', 'preview-nobody-shows']) await add('preview', name)
  await preview('preview-asked-for', { readDaysAgo: 29 })
  await preview('preview-asked-for-now', { noted: true })
  for (const kind of ['upload', 'remote', 'preview']) {
    await mark(`${kind}-pinned`, 'protected')
    await mark(`${kind}-quarantined`, 'quarantined')
  }
  await add('upload', 'large', { size: 5000 })
  await add('upload', 'film', { contentType: 'video/mp4' })
  await add('upload', 'bobs', { uploader: '@bob:example.org' })
  await add('upload', 'elsewhere', { origin: 'chat.example.org', uploader: '@dan:chat.example.org' })
  await thumbnail('upload-unused', 1)
  await thumbnail('upload-pinned', 2)
  await thumbnail('upload-pinned', 3, { readDaysAgo: 29 })
  await thumbnail('upload-pinned', 4, { noted: true })
}

function onEach(engine: Engine): void {
  describe.each(TABLE)('What goes is $title', ({ retention, gone }) => {
    test('and nothing else: rows, objects and bytes', async () => {
      await using keeping = await openKeeping(engine)
      await makeScene(keeping)
      const before = await keeping.left()
      const promised = await previewRetention(keeping.place, retention, never)
      expect(await keeping.left(), 'looking changes nothing').toEqual(before)
      await keeping.run(retention)
      const left = await keeping.left()
      expect(before.filter((name) => !left.includes(name))).toEqual(gone.toSorted())
      const { named, objects, files } = await keeping.contents()
      expect({ objects, files }).toEqual({ objects: named, files: named })
      const count = (which: RegExp) => gone.filter((name) => which.test(name)).length
      // What is noted and not written down yet does not show in a preview.
      const noted = Number(JSON.stringify(retention) === JSON.stringify(local()))
      if (promised.remote) expect(promised.remote.files).toBe(count(/^remote/) + 1)
      if (promised.local) expect(promised.local.files).toBe(count(/^(?!thumbnail)/) + noted)
      if (promised.thumbnails) expect(promised.thumbnails).toEqual({ count: 3, bytes: 300, isComplete: true })
      if (promised.previews) expect(promised.previews.count).toBe(count(/\.example$/) + 1)
    })
  })

  test('Media whose content has another name leave it where it is, and their server is counted for less', async () => {
    await using keeping = await openKeeping(engine)
    const { db } = keeping.place
    await keeping.add('remote', 'one')
    await keeping.add('remote', 'two', { like: 'one', origin: 'other.example', ageDays: 1 })
    await keeping.thumbnail('one', 1, { readDaysAgo: 1 })
    expect(await keeping.run({ ...FOR_EVER, remoteDays: 30 })).toMatchObject({
      'remote expiry': { looked: 1, removed: 1, bytes: 1000, objects: 0, after: null },
    })
    expect(await keeping.left()).toEqual(['thumbnail 1', 'two'])
    keeping.place.clock.wait(40 * DAY_MS)
    expect(await keeping.run({ ...FOR_EVER, remoteDays: 30 })).toMatchObject({
      'remote expiry': { removed: 1, bytes: 1000, objects: 2 },
    })
    expect(await keeping.contents()).toEqual({ named: 0, objects: 0, files: 0 })
    const changes = await db.read.selectFrom('usage_changes').select(['subject', 'bytes', 'files']).execute()
    const sums = Map.groupBy(changes, ({ subject }) => subject)
    for (const [subject, rows] of sums) {
      const sum = (what: 'bytes' | 'files') => rows.reduce((all, row) => all + row[what], 0)
      expect([subject, sum('bytes'), sum('files')]).toEqual([subject, 0, 0])
    }
  })

  test('Ids of ours never come back to life; those of other servers may be fetched again', async () => {
    await using keeping = await openKeeping(engine)
    const { db, clock } = keeping.place
    await keeping.add('upload', 'ours')
    await keeping.add('remote', 'theirs')
    await keeping.run({ ...local(), remoteDays: 30 })
    expect(await keeping.left()).toEqual([])
    clock.wait(400 * DAY_MS)
    await db.write(sweepTombstones, { limit: 100 })
    await expect(keeping.add('upload', 'ours')).rejects.toThrow('ours: deleted')
    await keeping.add('remote', 'theirs', { ageDays: 0 })
    expect(await findMedia(db.read, 'remote.example', 'theirs')).toBeDefined()
  })

  test('Tombstones of other servers are forgotten once what they block is released, and ours never', async () => {
    await using keeping = await openKeeping(engine)
    const { db, execute } = keeping.place
    const row = (origin: string, id: string, kind: string, quarantined: string) =>
      execute(`INSERT INTO deleted_media (origin, media_id, sha256, kind, deleted_at, quarantined_at, size)
        VALUES ('${origin}', '${id}', 'hash', '${kind}', 1, ${quarantined}, 1)`)
    await row('remote.example', 'released', 'remote', 'NULL')
    await row('remote.example', 'blocked', 'remote', '5')
    await row('example.org', 'deleted', 'upload', 'NULL')
    await row('example.org', 'picture', 'preview', 'NULL')
    expect(await db.write(sweepTombstones, { limit: 100 })).toBe(1)
    const left = await db.read.selectFrom('deleted_media').select('media_id').orderBy('media_id').execute()
    expect(left.map((one) => one.media_id)).toEqual(['blocked', 'deleted', 'picture'])
  })

  test('A run looks at so many, the next goes on where it ended, and the report is of the whole round', async () => {
    await using keeping = await openKeeping(engine, 100)
    const { place, run } = keeping
    const content = await keeping.add('remote', 'm000')
    const object = { sha256: content, size: 1000, datastore: 'media', location: 'anywhere', fresh: false }
    for (let index = 1; index < 250; index++) {
      const mediaId = `m${String(index).padStart(3, '0')}`
      const named = {
        origin: 'remote.example',
        mediaId,
        kind: 'remote' as const,
        uploader: null,
        contentType: 'image/png',
      }
      const createdAt = place.clock.now() - 100 * DAY_MS
      const rest = { uploadName: null, createdAt, authenticated: false, reserved: false, object }
      expect(await place.db.write(commitMedia, { ...named, ...rest })).toMatchObject({ outcome: 'stored' })
    }
    // They stay, so that a run that began anew would find them again.
    await place.execute(`UPDATE media SET protected_at = 1 WHERE media_id < 'm050'`)
    const retention = { ...FOR_EVER, remoteDays: 30 }
    const name = 'remote expiry'
    const reports: Record<string, unknown>[] = []
    for (let last = {}; reports.length < 3;) {
      last = await run(retention, last)
      reports.push((last as Record<string, Record<string, unknown>>)[name] ?? {})
    }
    expect(reports.map(({ looked, removed }) => [looked, removed])).toEqual([
      [100, 50],
      [200, 150],
      [250, 200],
    ])
    expect(reports.map(({ after }) => after === null)).toEqual([false, false, true])
    const begun = { [name]: reports[0] as never }
    const other = await run({ ...FOR_EVER, remoteDays: 31 }, begun)
    expect(other, 'other options begin a new round').toMatchObject({ [name]: { looked: 50, removed: 0 } })
  })

  test('A round through uploads that no rule wants leaves turns to everybody else', async () => {
    await using keeping = await openKeeping(engine)
    const { db, notifier, clock } = keeping.place
    const content = await keeping.add('upload', 'first')
    await keeping.place.execute(
      `INSERT INTO media (origin, media_id, sha256, kind, content_type, uploader, created_at)
       WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
       SELECT 'example.org', 'm' || i, '${content}', 'upload', 'image/png', '@alice:example.org', i FROM n`,
    )
    const rules = timed(local({ types: ['video/*'] }).local, clock.now())
    let turns = 0
    let counter = setImmediate(function count() {
      turns++
      counter = setImmediate(count)
    })
    const done = await expireMedia({ db, notifier, clock }, { kind: 'upload', rules }, { most: 10_000 }, never)
    clearImmediate(counter)
    expect(done).toMatchObject({ looked: 2001, removed: 0, after: null })
    expect(turns).toBeGreaterThanOrEqual(20)
  })

  test('Nothing goes while other instances cannot be asked what they have noted', async () => {
    await using keeping = await openKeeping(engine)
    await keeping.add('remote', 'old')
    const { place } = keeping
    place.notifier.announce = async () => {
      throw new Error('nobody hears')
    }
    await expect(keeping.run({ ...FOR_EVER, remoteDays: 30 })).rejects.toThrow('nobody hears')
    expect(await keeping.left()).toEqual(['old'])
  })
}

describe('On SQLite', () => onEach('sqlite'))
describeWith('postgres', 'On PostgreSQL', () => onEach('postgres'))
