import { mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { stringify } from 'yaml'
import { expect, test } from 'vitest'
import { type HomeserverDouble, startHomeserver } from '../support/homeserver.ts'
import { mediaClient } from '../support/media-client.ts'
import {
  cellarium,
  configOf,
  emptyMmr,
  expectedOfMmr,
  fillMmr,
  type MmrPlace,
  mmrOfFixture,
  untilCopied,
} from '../support/mmr.ts'
import { type Server, startServer } from '../support/server.ts'
import { describeWith } from '../support/services.ts'

const ADMIN = { token: 'token-of-admin', userId: '@admin:localhost' }
const A_YEAR_S = 365 * 86_400

describeWith('postgres', 'Nothing is lost between matrix-media-repo and Cellarium', () => {
  test('what was uploaded here stays when matrix-media-repo deletes the same content of its own', async () => {
    await using mmr = await mmrOfFixture()
    await using homeserver = await startHomeserver({ serverName: 'localhost' })
    homeserver.addUser(ADMIN)
    const { media } = await expectedOfMmr()
    const alone = media.filter(
      ({ kind, sha256 }) => kind === 'upload' && media.filter((one) => one.sha256 === sha256).length === 1,
    )
    const theirs = alone.find(({ quarantined, pinned }) => !quarantined && !pinned)
    if (!theirs) throw new Error('the fixture has one')
    const file = join(mmr.media, theirs.location)
    const bytes = await readFile(file)
    const ours = await during(mmr, homeserver, async (server) => {
      await untilCopied(mmr)
      return (await mediaClient(server, ADMIN.token, 'localhost').upload(bytes)).media
    })
    // As a purge of matrix-media-repo does it.
    await mmr.query('DELETE FROM public.media WHERE location = $1', [theirs.location])
    await rm(file)

    const since = Date.now()
    await during(mmr, homeserver, async (server) => {
      await untilCopied(mmr, since)
      const client = mediaClient(server, ADMIN.token, 'localhost')
      expect((await client.download(theirs.mxc.slice('mxc://'.length))).status).toBe(404)
      const kept = await client.download(ours)
      expect([kept.status, kept.body.equals(bytes)]).toEqual([200, true])
    })
  }, 120_000)

  test('an import from elsewhere keeps what it could not bring, and what was made there since', async () => {
    await using mmr = await mmrOfFixture()
    const { media } = await expectedOfMmr()
    const hashless = media.find(
      ({ kind, sha256 }) => kind === 'upload' && media.filter((one) => one.sha256 === sha256).length === 1,
    )
    if (!hashless) throw new Error('the fixture has one')
    await mmr.query(`UPDATE public.media SET sha256_hash = '' WHERE location = $1`, [hashless.location])
    const configFile = await configuredElsewhere(mmr)
    const args = ['import', 'mmr', '--config', configFile]
    expect((await cellarium(...args, '--database', mmr.url)).code).toBe(0)

    const [since, nobodys] = [join(mmr.media, 'ab/cd/madesinceidv2fmt'), join(mmr.media, 'ab/cd/nobodys')]
    await mkdir(dirname(since), { recursive: true })
    await writeFile(since, 'matrix-media-repo is at work')
    await writeFile(nobodys, 'nobody names this')
    for (const file of [since, nobodys, join(mmr.media, hashless.location)]) await makeOld(file)
    const repair = ['datastores', 'check', '--repair', '--force', '--config', configFile]
    expect((await cellarium(...repair)).text).toContain('main')
    expect(await isThere(since)).toBe(true)
    expect(await isThere(join(mmr.media, hashless.location))).toBe(true)
    // The repair did delete what it may.
    expect(await isThere(nobodys)).toBe(false)

    const early = await cellarium(...args, '--finish')
    expect(early).toEqual({ code: 1, text: expect.stringMatching(/^1 media could not be brought here, .* --anyway/) })
    expect(states(mmr)).toEqual(['copied'])
    expect((await cellarium(...args, '--finish', '--anyway')).code).toBe(0)
    expect(states(mmr)).toEqual(['finished'])
  }, 120_000)

  test('tables of another version can be done without, as the refusal says', async () => {
    await using mmr = await mmrOfFixture()
    await using homeserver = await startHomeserver({ serverName: 'localhost' })
    await mmr.query('INSERT INTO public.gomigrate (id, migration_id) VALUES (51, 30)')
    const start = () => during(mmr, homeserver, async (server) => server.configFile)
    await expect(start()).rejects.toThrow(/cellarium import mmr --finish --anyway/)
    const configFile = join(mmr.folder, 'server', 'cellarium.yaml')
    expect(await cellarium('import', 'mmr', '--finish', '--config', configFile)).toMatchObject({ code: 1 })
    const finished = await cellarium('import', 'mmr', '--finish', '--anyway', '--config', configFile)
    expect(finished).toMatchObject({ code: 0, text: expect.stringMatching(/^Finished\. 0 files/) })
    const { text } = await cellarium('audit', '--config', configFile)
    expect(text).toMatch(/cli:\S+ +finish_take_over +matrix-media-repo .*anyway=true/)
    await start()
    expect(await mmr.query('SELECT count(*)::int AS rows FROM public.media')).not.toEqual([{ rows: 0 }])
  }, 120_000)

  test('a command that lost its lease over the copy goes on with it', async () => {
    await using mmr = await emptyMmr()
    await fillMmr(mmr, 8000)
    const repo = { dataPath: join(mmr.folder, 'data'), logDirectory: '-' }
    const configFile = join(mmr.folder, 'config.yaml')
    await writeFile(configFile, stringify({ ...configOf(mmr, 'http://127.0.0.1:9'), repo }))
    const command = cellarium('import', 'mmr', '--config', configFile)
    const taken = `UPDATE cellarium.leases SET token = 'another', expires_at = 0 WHERE name = 'task mmr_take_over' RETURNING 1`
    await expect.poll(() => mmr.query(taken).catch(() => []), { timeout: 60_000, interval: 50 }).toHaveLength(1)
    const { code, text } = await command
    expect(text.match(/it is done here/g)).toHaveLength(2)
    expect([code, text]).toEqual([0, expect.stringContaining('everything is here since')])
  }, 120_000)

  test('is compared in place too: --verify names what is lost, and takes what lies elsewhere from there', async () => {
    await using mmr = await mmrOfFixture()
    await using homeserver = await startHomeserver({ serverName: 'localhost' })
    const { media } = await expectedOfMmr()
    const alone = media.filter(
      ({ kind, sha256 }) => kind === 'upload' && media.filter((one) => one.sha256 === sha256).length === 1,
    )
    const [gone, short] = alone.filter(({ size }) => size > 1)
    if (!gone || !short) throw new Error('the fixture has two')
    const configFile = await during(mmr, homeserver, async (server) => {
      const copied = await cellarium('import', 'mmr', '--config', server.configFile)
      expect(copied.code, copied.text).toBe(0)
      expect(copied.text).toContain('schema public: everything is here since')
      return server.configFile
    })
    const args = ['import', 'mmr', '--verify', '--config', configFile]
    const whole = await cellarium(...args)
    expect(whole, whole.text).toMatchObject({
      code: 0,
      text: expect.stringMatching(/ right, 0 lost, 0 different, 0 not/),
    })
    expect(whole.text).toMatch(/^[\d,]+ of [\d,]+ media$/m)
    await rm(join(mmr.media, gone.location))
    await writeFile(join(mmr.media, short.location), '')
    const found = await cellarium(...args)
    expect(found).toMatchObject({ code: 1, text: expect.stringContaining(' 2 lost, 0 different') })
    expect(found.text).toContain(`lost: ${gone.mxc}: nothing is at ${gone.location} in main`)
    expect(found.text).toContain(`lost: ${short.mxc}: what is at ${short.location} in main`)
  }, 120_000)
})

async function during<Result>(
  mmr: MmrPlace,
  homeserver: HomeserverDouble,
  work: (server: Server) => Promise<Result>,
): Promise<Result> {
  const config = { ...configOf(mmr, homeserver.url), repo: { useForwardedHost: true } }
  await using server = await startServer({ config, folder: join(mmr.folder, 'server') })
  return await work(server)
}

async function configuredElsewhere(mmr: MmrPlace): Promise<string> {
  const repo = { dataPath: join(mmr.folder, 'data'), logDirectory: '-' }
  const configFile = join(mmr.folder, 'config.yaml')
  await writeFile(configFile, stringify({ ...configOf(mmr, 'http://127.0.0.1:9'), database: {}, repo }))
  return configFile
}

function states({ folder }: MmrPlace): unknown[] {
  using database = new DatabaseSync(join(folder, 'data', 'cellarium.sqlite'), { timeout: 10_000 })
  return database
    .prepare('SELECT state FROM mmr_take_over')
    .all()
    .map(({ state }) => state)
}

async function makeOld(file: string): Promise<void> {
  const then = Date.now() / 1000 - A_YEAR_S
  await utimes(file, then, then)
}

const isThere = async (file: string) =>
  await readFile(file).then(
    () => true,
    () => false,
  )
