import { createHash } from 'node:crypto'
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { expect, test } from 'vitest'
import { cellarium, configOf, emptyMmr, expectedOfMmr, fillMmr, type MmrPlace, mmrOfFixture } from '../support/mmr.ts'
import { startProgram } from '../support/processes.ts'
import { describeWith } from '../support/services.ts'

const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))
const ROWS = 20_000

describeWith('postgres', 'cellarium import mmr', () => {
  test('copies another database into SQLite, again and again, and says what is lost or unusable', async () => {
    await using mmr = await mmrOfFixture()
    const { media } = await expectedOfMmr()
    const alone = media.filter(
      ({ kind, sha256 }) => kind === 'upload' && media.filter((one) => one.sha256 === sha256).length === 1,
    )
    const [twice, gone, foreign, hashless] = alone
    if (!twice || !gone || !foreign || !hashless) throw new Error('the fixture has more')
    // The first of two places of one content is empty.
    await mkdir(join(mmr.media, '00/00'), { recursive: true })
    await copyFile(join(mmr.media, twice.location), join(mmr.media, '00/00/secondidv2fmt'))
    await mmr.query(`
      INSERT INTO public.media SELECT origin, 'zzzz', upload_name, content_type, user_id, sha256_hash, size_bytes, '00/00/secondidv2fmt', creation_ts, false, datastore_id
      FROM public.media WHERE location = '${twice.location}'`)
    await rm(join(mmr.media, twice.location))
    await rm(join(mmr.media, gone.location))
    await mmr.query(`UPDATE public.media SET datastore_id = 'sold' WHERE location = '${foreign.location}'`)
    await mmr.query(`UPDATE public.media SET sha256_hash = '' WHERE location = '${hashless.location}'`)
    const place = await configured(mmr)

    const first = await cellarium(...place.args)
    expect(first.code, first.text).toBe(0)
    expect(first.text).toContain(`no datastore: ${foreign.mxc}: it lies at ${foreign.location} in "sold"`)
    expect(first.text).toContain(`no hash: ${hashless.mxc}: the SHA-256 is ""`)
    const wanted = media.filter(({ kind }) => kind !== 'thumbnail_copy').length + 1 - 2
    expect(place.rows('SELECT count(*) AS n FROM media')).toEqual([{ n: wanted }])
    const copied = dump(place)
    expect((await cellarium(...place.args)).code).toBe(0)
    expect(dump(place)).toEqual(copied)

    const verified = await cellarium(...place.args, '--verify')
    expect(verified.code).toBe(1)
    expect(verified.text).toContain(`lost: ${gone.mxc}: nothing is at ${gone.location} in main`)
    expect(verified.text).toMatch(/ 1 lost, 0 different, 2 not brought here, .*1 were found at another place/)
    expect(verified.text).not.toContain(twice.mxc)
    expect(place.rows(`SELECT location FROM objects WHERE sha256 = '${twice.sha256}'`)).toEqual([
      { location: '00/00/secondidv2fmt' },
    ])

    await mmr.query(`UPDATE public.media SET datastore_id = 'main' WHERE location = '${foreign.location}'`)
    const again = await cellarium(...place.args)
    expect(again.text).not.toContain('no datastore')
    expect(place.rows('SELECT count(*) AS n FROM media')).toEqual([{ n: wanted + 1 }])
  }, 120_000)

  test('says what is missing', async () => {
    await using mmr = await mmrOfFixture()
    const place = await configured(mmr)
    const config = ['--config', place.configFile]
    expect(await cellarium('import', 'mmr', ...config, '--database', mmr.url.replace('5432', '1'), '--finish')).toEqual(
      {
        code: 1,
        text: 'There is no take-over from matrix-media-repo to finish',
      },
    )
    const none = await cellarium('import', 'mmr', ...config)
    expect(none).toMatchObject({ code: 1, text: expect.stringContaining('--database postgres://') })
    await mmr.query('DROP TABLE public.gomigrate')
    const other = await cellarium(...place.args)
    expect(other).toMatchObject({
      code: 1,
      text: expect.stringContaining('There are no tables of matrix-media-repo in '),
    })
    expect(other.text).not.toContain('postgres:')
  }, 60_000)

  test('does not take a database that was emptied for one whose media were deleted', async () => {
    await using mmr = await mmrOfFixture()
    const place = await configured(mmr)
    expect((await cellarium(...place.args)).code).toBe(0)
    const copied = place.rows('SELECT count(*) AS n FROM media')
    await mmr.query('DELETE FROM public.media')
    const emptied = await cellarium(...place.args)
    expect(emptied).toMatchObject({ code: 1, text: expect.stringContaining('is it the right database?') })
    expect(place.rows('SELECT count(*) AS n FROM media')).toEqual(copied)
  }, 60_000)

  test('that is killed again and again leaves what one run leaves', async () => {
    await using mmr = await emptyMmr()
    await fillMmr(mmr, ROWS)
    const undisturbed = await configured(mmr, 'undisturbed')
    expect((await cellarium(...undisturbed.args)).code).toBe(0)
    const place = await configured(mmr, 'killed')
    let killed = 0
    for (let round = 1; round <= 4; round++) {
      await using program = await startProgram({ command: [process.execPath, CELLARIUM, ...place.args] })
      const before = place.progress()
      while (program.running && place.progress() === before) await pause(5)
      await pause(Math.random() * 100)
      const wasRunning = program.running
      await program.stop('SIGKILL')
      if (wasRunning) killed++
    }
    expect(killed).toBeGreaterThan(1)
    expect((await cellarium(...place.args)).code).toBe(0)
    expect(dump(place)).toEqual(dump(undisturbed))
    const verified = await cellarium(...place.args, '--status', '--json')
    expect(JSON.parse(verified.text)).toMatchObject({ names: ROWS, thumbnailCopies: ROWS / 10, problems: {} })
  }, 240_000)
})

interface Configured {
  readonly configFile: string
  readonly args: readonly string[]
  readonly rows: (statement: string) => unknown
  /** Something that is another after each step. */
  readonly progress: () => string
}

async function configured(mmr: MmrPlace, name = 'data'): Promise<Configured> {
  const dataPath = join(mmr.folder, name)
  const config = { ...configOf(mmr, 'http://127.0.0.1:9'), database: {}, repo: { dataPath, logDirectory: '-' } }
  const configFile = join(mmr.folder, `${name}.yaml`)
  await writeFile(configFile, stringify(config))
  const rows = (statement: string) => {
    using database = new DatabaseSync(join(dataPath, 'cellarium.sqlite'), { timeout: 10_000 })
    return database.prepare(statement).all()
  }
  return {
    configFile,
    args: ['import', 'mmr', '--config', configFile, '--database', mmr.url],
    rows,
    progress: () => {
      try {
        return JSON.stringify(rows('SELECT progress FROM mmr_take_over'))
      } catch {
        return ''
      }
    },
  }
}

/** What was copied, without the times at which it was; usage with what is not added up yet. */
function dump({ rows }: Configured): unknown {
  const usage = `SELECT subject, sum(bytes) AS bytes, sum(files) AS files
    FROM (SELECT * FROM usage_totals UNION ALL SELECT subject, bytes, files FROM usage_changes) GROUP BY subject HAVING files <> 0`
  const media = `SELECT origin, media_id, sha256, kind, content_type, upload_name, uploader, created_at, accessed_at, authenticated_at,
    quarantined_at IS NULL AS free, protected_at IS NULL AS mortal FROM media`
  const statements = [
    media,
    'SELECT sha256, size, datastore, location FROM objects',
    'SELECT source_sha256, width, height, method, variant, sha256, content_type, created_at, made_for FROM thumbnails',
    'SELECT origin, media_id, kind FROM deleted_media',
    'SELECT * FROM pending_media',
    'SELECT origin, media_id, quarantined FROM quarantine_changes',
    'SELECT * FROM uploader_days',
    'SELECT * FROM mmr_media',
    'SELECT * FROM mmr_places',
    usage,
  ]
  const sorted = (statement: string) => (rows(statement) as object[]).map((row) => JSON.stringify(row)).toSorted()
  return statements.map((statement) => {
    const lines = sorted(statement)
    return [statement, lines.length, lines.length < 100 ? lines : hash(lines)]
  })
}

const hash = (lines: readonly string[]) => createHash('sha256').update(lines.join('\n')).digest('hex')
