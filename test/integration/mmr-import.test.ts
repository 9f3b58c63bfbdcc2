import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { stringify } from 'yaml'
import { expect, test } from 'vitest'
import { cellarium, configOf, expectedOfMmr, type MmrPlace, mmrOfFixture } from '../support/mmr.ts'
import { type Ask, copiedFromMmr } from '../support/mmr-copied.ts'
import { describeWith } from '../support/services.ts'

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
    const copied = await copiedFromMmr(place.rows)
    expect((await cellarium(...place.args)).code).toBe(0)
    expect(await copiedFromMmr(place.rows)).toEqual(copied)

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
})

interface Configured {
  readonly configFile: string
  readonly args: readonly string[]
  readonly rows: Ask
}

async function configured(mmr: MmrPlace): Promise<Configured> {
  const dataPath = join(mmr.folder, 'data')
  const config = { ...configOf(mmr, 'http://127.0.0.1:9'), database: {}, repo: { dataPath, logDirectory: '-' } }
  const configFile = join(mmr.folder, 'config.yaml')
  await writeFile(configFile, stringify(config))
  const rows = (statement: string) => {
    using database = new DatabaseSync(join(dataPath, 'cellarium.sqlite'), { timeout: 10_000 })
    return database.prepare(statement).all()
  }
  return {
    configFile,
    args: ['import', 'mmr', '--config', configFile, '--database', mmr.url],
    rows,
  }
}
