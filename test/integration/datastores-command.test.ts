import { randomBytes } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { expect, test } from 'vitest'
import { eventually } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { mediaClient } from '../support/media-client.ts'
import { startProgram } from '../support/processes.ts'
import { startS3Double } from '../support/s3-double.ts'
import { type Server, startServer } from '../support/server.ts'

const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))
const SECRET = 'shared-secret'
const PATIENT = 120_000

/** A configuration with the datastores `old` and `new`, in SQLite and two folders of `folder`. */
function configOf(folder: string) {
  const store = (id: string, forKinds: string[]) => ({ type: 'file', id, forKinds, opts: { path: join(folder, id) } })
  return {
    homeservers: [{ name: 'example.org', csApi: 'http://127.0.0.1:9' }],
    sharedSecretAuth: { enabled: true, token: SECRET },
    datastores: [store('old', ['local_media', 'thumbnails']), store('new', [])],
    uploads: { minBytes: 0 },
  }
}

const startIn = (folder: string) => startServer({ folder, config: configOf(folder) })

async function upload(server: Server, count: number, size = 1000): Promise<string[]> {
  const client = mediaClient(server, SECRET)
  return await Promise.all(Array.from({ length: count }, async () => (await client.upload(randomBytes(size))).media))
}

/** Runs `cellarium datastores …` to its end. */
async function run(folder: string, ...args: string[]) {
  await using program = await start(folder, ...args)
  const { code } = await program.ended
  return { code, text: program.lines.join('\n') }
}

/** The same in a folder where nothing says where the configuration is. */
async function runIn(folder: string, args: readonly string[]) {
  const environment = { PATH: process.env['PATH'], HOME: folder }
  const command = [process.execPath, CELLARIUM, 'datastores', ...args]
  await using program = await startProgram({ command, folder, environment })
  const { code } = await program.ended
  return { code, text: program.lines.join('\n') }
}

async function start(folder: string, ...args: string[]) {
  const command = [process.execPath, CELLARIUM, 'datastores', ...args, '-c', join(folder, 'cellarium.yaml')]
  return await startProgram({ command, folder })
}

test('cellarium datastores list says what each datastore keeps, for people and for programs', async () => {
  await using folder = await temporaryFolder()
  await using server = await startIn(folder.path)
  await upload(server, 3, 2048)
  const { code, text } = await run(folder.path, 'list')
  expect(code).toBe(0)
  expect(text.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
    ['ID', 'TYPE', 'PLACE', 'TAKES', 'OBJECTS', 'BYTES'],
    ['old', 'file', join(folder.path, 'old'), 'thumbnails,local_media', '3', '6.0 KiB'],
    ['new', 'file', join(folder.path, 'new'), '-', '0', '0 bytes'],
  ])
  expect(JSON.parse((await run(folder.path, 'list', '--json')).text)).toEqual([
    {
      id: 'old',
      type: 'file',
      uri: join(folder.path, 'old'),
      kinds: ['thumbnails', 'local_media'],
      objects: 3,
      bytes: 6144,
    },
    { id: 'new', type: 'file', uri: join(folder.path, 'new'), kinds: [], objects: 0, bytes: 0 },
  ])
})

test(
  'cellarium datastores transfer lets a running server move everything, after a dry run that moves nothing',
  async () => {
    await using folder = await temporaryFolder()
    await using server = await startIn(folder.path)
    const [media = ''] = await upload(server, 5)
    const dry = await run(folder.path, 'transfer', 'old', 'new', '--dry-run')
    expect(dry).toEqual({ code: 0, text: '5 objects, 4.9 KiB would be moved.' })
    const nothing = await run(folder.path, 'transfer', 'old', 'new', '--dry-run', '--before', '30d')
    expect(nothing.text).toBe('0 objects, 0 bytes would be moved.')

    const { code, text } = await run(folder.path, 'transfer', 'old', 'new')
    expect([code, text]).toEqual([0, expect.stringMatching(/^5 objects, 4\.9 KiB moved\.$/m)])
    expect(text).not.toContain('done here')
    await eventually(() => server.lines.some((line) => line.includes('the task is done')), PATIENT)
    expect((await mediaClient(server, SECRET).download(media)).status).toBe(200)
    expect((await run(folder.path, 'list')).text).toMatch(/new .* 5 +4\.9 KiB/)
  },
  PATIENT,
)

test(
  'cellarium datastores transfer does it alone where no server runs, goes on after a kill, and names what is damaged',
  async () => {
    await using folder = await temporaryFolder()
    {
      await using server = await startIn(folder.path)
      await upload(server, 40, 30_000)
    }
    {
      await using killed = await start(folder.path, 'transfer', 'old', 'new')
      await eventually(() => killed.lines.some((line) => line.includes('done here')), PATIENT)
      await killed.stop('SIGKILL')
    }
    const { code, text } = await run(folder.path, 'transfer', 'old', 'new')
    expect([code, text]).toEqual([0, expect.stringMatching(/^40 objects, 1\.1 MiB moved\.$/m)])
    // The one that was begun before, or the next if that had ended already.
    expect(text).toMatch(/^Task [12] moves what is in old to new\.$/m)
    const files = (await run(folder.path, 'list', '--json')).text
    expect(JSON.parse(files)).toMatchObject([{ objects: 0 }, { objects: 40 }])
    await using server = await startIn(folder.path)
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
  },
  PATIENT,
)

test('cellarium datastores transfer refuses what cannot be done, in a sentence and with status 1', async () => {
  await using folder = await temporaryFolder()
  await (await startIn(folder.path))[Symbol.asyncDispose]()
  const refused = [
    [['old', 'old'], 'Source and target datastore cannot be the same'],
    [['old', 'none'], 'Target datastore none is not configured'],
    [['old', 'new', '--before', 'soon'], '--before soon: give a date (2026-01-31) or an age (90d, 12w, 6m, 1y)'],
  ] as const
  for (const [args, text] of refused) {
    expect(await run(folder.path, 'transfer', ...args)).toEqual({ code: 1, text })
  }
})

test.each(['list', 'transfer old new', 'check'])(
  'cellarium datastores %s makes neither folder nor database where there is none, but says what to give, with status 2',
  async (args) => {
    await using folder = await temporaryFolder()
    const nowhere = await runIn(folder.path, args.split(' '))
    expect(nowhere).toMatchObject({ code: 2, text: expect.stringContaining('give --config FILE (or set REPO_CONFIG)') })
    expect(nowhere.text).toContain(join('data', 'cellarium.sqlite'))
    expect(await readdir(folder.path)).toEqual([])

    const dataPath = join(folder.path, 'other')
    await writeFile(join(folder.path, 'cellarium.yaml'), stringify({ ...configOf(folder.path), repo: { dataPath } }))
    const { code, text } = await run(folder.path, ...args.split(' '))
    expect([code, text]).toEqual([2, expect.stringContaining(`no database ${join(dataPath, 'cellarium.sqlite')}`)])
    expect(await readdir(folder.path)).toEqual(['cellarium.yaml'])
  },
)

test(
  'cellarium datastores transfer of what was all read lately has nothing to move, and is done',
  { timeout: PATIENT },
  async () => {
    await using folder = await temporaryFolder()
    await using server = await startIn(folder.path)
    await upload(server, 3)
    const { code, text } = await run(folder.path, 'transfer', 'old', 'new', '--before', '30d')
    expect([code, text]).toEqual([0, expect.stringMatching(/^Nothing to move, 3 read since\.$/m)])
    expect(text).toMatch(/^100 %, 0 of \d objects, 0 bytes, 3 read since$/m)
  },
)

test(
  'cellarium datastores check of a bucket that cannot be used says what happened, in words for administrators',
  { timeout: PATIENT },
  async () => {
    await using folder = await temporaryFolder()
    await using double = await startS3Double()
    const bucket = { type: 's3', id: 'old', forKinds: ['all'], opts: double.options }
    const config = { ...configOf(folder.path), datastores: [bucket] }
    await (await startServer({ folder: folder.path, config }))[Symbol.asyncDispose]()
    double.failAll({ kind: 'refused', status: 403, code: 'AccessDenied' })
    const { code, text } = await run(folder.path, 'check')
    expect([code, text]).toEqual([2, expect.stringMatching(/datastore old \(.*could not be checked.*403 AccessDenied/)])
    expect(text).not.toContain('please try again')
    expect(text.match(/could not be checked.*/)?.[0].match(/403 AccessDenied/g), 'once').toHaveLength(1)
  },
)
