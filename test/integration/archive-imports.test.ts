/** Imports of archives: what comes out of one repository goes into another, and nothing else does. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { recordSyncs } from '../contract/folder.ts'
import { ALICE, BOB, eventually, startApp, type TestApp } from '../support/app.ts'
import {
  BASE,
  download,
  ended,
  exported,
  filesIn,
  manifestOf,
  sha256,
  tarOf,
  uploadArchive,
} from '../support/archives.ts'
import { noise } from '../support/images.ts'

const ADMIN = { token: 'syt_admin_Ag5h', userId: '@admin:example.org', admin: true }
const MMR = new URL('../fixtures/mmr-archive/', import.meta.url)

let from: TestApp
let to: TestApp
beforeAll(async () => {
  const config = { admins: [ADMIN.userId], archiving: { targetBytesPerPart: 30_000 } }
  ;[from, to] = await Promise.all([startApp({ config }), startApp({ config })])
  for (const app of [from, to]) app.homeserver.addUser(ADMIN)
})
afterAll(async () => {
  await from[Symbol.asyncDispose]()
  await to[Symbol.asyncDispose]()
})

const ROWS = `SELECT origin, media_id, sha256, kind, content_type, upload_name, uploader, created_at, authenticated_at IS NULL AS open
  FROM media ORDER BY created_at, origin, media_id`
const NONE_LEFT =
  'SELECT * FROM archive_imports UNION ALL SELECT import_id, part, size, size, size FROM archive_import_parts'

async function importInto(app: TestApp, files: readonly Buffer[]) {
  const { taskId } = await uploadArchive(app, files, ADMIN.token)
  return await ended(app, taskId, ADMIN.token)
}

const downloaded = async (app: TestApp, media: string) =>
  await app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token })

/** A file of an archive that has a manifest of these, and their files. */
async function archiveOf(
  media: readonly { readonly id: string; readonly body: Buffer; readonly changes?: object; readonly file?: string }[],
): Promise<Buffer> {
  const members = media.map(({ id, body, changes }) => [
    `mxc://example.org/${id}`,
    {
      name: `${id}.png`,
      file_name: `example.org__${id}`,
      size_bytes: body.length,
      content_type: 'image/png',
      s3_url: '',
      sha256: sha256(body),
      origin: 'example.org',
      media_id: id,
      created_ts: 1_500_000_000_123,
      uploader: ALICE.userId,
      ...changes,
    },
  ])
  const manifest = {
    version: 2,
    entity_id: ALICE.userId,
    created_ts: 1_600_000_000_000,
    media: Object.fromEntries(members),
  }
  const files = media.map(({ id, body, file }) => [{ name: file ?? `example.org__${id}` }, body] as const)
  return await tarOf([{ name: 'manifest.json' }, Buffer.from(JSON.stringify(manifest))], ...files)
}

/** Two members of one name, which `JSON.parse` would make one of. */
async function namingTwice(): Promise<Buffer> {
  const text = (await filesIn(await archiveOf([one(0), one(1)]))).get('manifest.json')?.toString() ?? ''
  return await tarOf([{ name: 'manifest.json' }, Buffer.from(text.replaceAll(ids[1] ?? '', ids[0] ?? ''))])
}

let ids: string[]
let bodies: Buffer[]
beforeEach(() => {
  ids = Array.from({ length: 4 }, () => randomBytes(12).toString('hex'))
  bodies = ids.map((_, index) => randomBytes(100 + index))
})
const one = (index: number, more: object = {}) => ({
  id: ids[index] ?? '',
  body: bodies[index] ?? Buffer.alloc(0),
  ...more,
})
/** A file of an archive with the files of these. */
const part = (...of: number[]) => tarOf(...of.map((n) => [{ name: `example.org__${ids[n]}` }, bodies[n]] as const))
async function taskIsAt(taskId: number, progress: object): Promise<void> {
  const text = JSON.stringify(progress)
  await eventually(() => to.sql('SELECT progress FROM tasks WHERE id = ?', taskId)[0]?.['progress'] === text)
}

const addTo = async (importId: string, body: Buffer) =>
  await to.ask(`${BASE}/import/${importId}/part`, { method: 'POST', token: ADMIN.token, body })

const stateOf = (id: string | undefined) =>
  to.sql('SELECT sha256, created_at, quarantined_at IS NOT NULL AS blocked FROM media WHERE media_id = ?', id ?? '')[0]

describe('An export that is imported elsewhere', () => {
  test('brings every file, byte by byte, under its name, with its owner and time; again, and nothing happens', async () => {
    const sent = new Map<string, Buffer>()
    for (const [index, size] of [20_000, 0, 15_000, 1, 40_000].entries()) {
      const body = randomBytes(size)
      sent.set(await from.upload(body, { token: index % 2 ? BOB.token : ALICE.token, name: `ü ${index}.png` }), body)
    }
    // The same bytes under another name.
    sent.set(
      await from.upload(sent.values().next().value ?? '', { token: BOB.token, name: 'copy' }),
      sent.values().next().value ?? Buffer.alloc(0),
    )
    const files = await download(from, await exported(from, 'example.org', ADMIN.token))
    expect(files.length).toBeGreaterThan(2)
    const reversed = files.toReversed()
    expect(await importInto(to, reversed)).toMatchObject({ error_message: '', progress: { rows: 6 } })
    for (const [media, body] of sent) {
      const { status, body: got } = await downloaded(to, media)
      expect([media, status, got.equals(body)]).toEqual([media, 200, true])
    }
    expect(to.sql(ROWS)).toEqual(from.sql(ROWS))
    expect(to.sql(NONE_LEFT)).toEqual([])
    expect(await importInto(to, files)).toMatchObject({ error_message: '', progress: { rows: 6, known: 6 } })
    expect(to.sql(ROWS)).toEqual(from.sql(ROWS))
  })

  test("matrix-media-repo's is read, and its files are served", async () => {
    const names = ['export-part-1.tgz', 'export-part-2.tgz', 'export-manifest.tgz']
    const files = await Promise.all(names.map((name) => readFile(new URL(name, MMR))))
    expect(await importInto(to, files)).toMatchObject({ error_message: '', progress: { rows: 6 } })
    for (const { mediaId, sha256: hash } of (await manifestOf(files[2] ?? Buffer.alloc(0)))?.media ?? []) {
      const { status, body } = await downloaded(to, `localhost/${mediaId}`)
      expect([status, sha256(body)]).toEqual([200, hash])
    }
  })
})

describe('An import', () => {
  test('waits for the files that are missing, without holding up another, and takes what is there once it is closed', async () => {
    const whole = await archiveOf([one(0), one(1)])
    const lacking = await archiveOf([one(2), { ...one(3), file: 'something_else' }])
    const first = await uploadArchive(to, [lacking], ADMIN.token)
    await eventually(
      () =>
        to.sql('SELECT progress FROM tasks WHERE id = ?', first.taskId)[0]?.['progress'] ===
        '{"looked":1,"found":1,"manifest":1,"lacking":1}',
    )
    expect(await importInto(to, [whole])).toMatchObject({ error_message: '' })
    expect(stateOf(ids[2])).toBeUndefined()
    const closed = await to.ask(`${BASE}/import/${first.importId}/close`, { method: 'POST', token: ADMIN.token })
    expect(closed.json).toEqual({})
    const { error_message: problem, progress } = await ended(to, first.taskId, ADMIN.token)
    expect(problem).toBe('1 of 2 media could not be imported; `progress` says why')
    expect(progress).toMatchObject({ rows: 2, copied: 1, missing: 1, unnamed_files: 1 })
    expect(stateOf(ids[2])).toMatchObject({ created_at: 1_500_000_000_123 })
    const late = await to.ask(`${BASE}/import/${first.importId}/part`, {
      method: 'POST',
      token: ADMIN.token,
      body: whole,
    })
    expect(late.status).toBe(404)
  })

  test('goes on waiting when a file comes twice, and looks through each once for the manifest', async () => {
    const whole = await archiveOf([one(0), one(1)])
    const others = await Promise.all([0, 1].map((n) => tarOf([{ name: `example.org__${ids[n]}` }, bodies[n]])))
    const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = others
    const { importId, taskId } = await uploadArchive(to, [await tarOf([{ name: 'index.html' }])], ADMIN.token)
    const isAt = (progress: object) => taskIsAt(taskId, progress)
    const add = (body: Buffer) => addTo(importId, body)
    await isAt({ looked: 1, found: 0, manifest: 0, lacking: 0 })
    const [stored] = to.sql('SELECT location FROM archive_import_parts WHERE import_id = ?', importId)
    const path = (await to.files()).find((name) => name.endsWith(String(stored?.['location']))) ?? ''
    await rename(path, `${path}-away`)
    await add(first)
    await isAt({ looked: 2, found: 0, manifest: 0, lacking: 0 })
    await rename(`${path}-away`, path)
    const manifest = await tarOf([{ name: 'manifest.json' }, (await filesIn(whole)).get('manifest.json')])
    await add(manifest)
    await isAt({ looked: 3, found: 1, manifest: 3, lacking: 1 })
    await add(first)
    await isAt({ looked: 4, found: 1, manifest: 3, lacking: 1 })
    await add(second)
    expect(await ended(to, taskId, ADMIN.token)).toMatchObject({ error_message: '', progress: { copied: 2 } })
  })

  test('of which the manifest comes first counts the files that come, until there may be enough of them', async () => {
    const manifest = (await filesIn(await archiveOf([0, 1, 2, 3].map((n) => one(n))))).get('manifest.json')
    const { importId, taskId } = await uploadArchive(
      to,
      [await tarOf([{ name: 'manifest.json' }, manifest])],
      ADMIN.token,
    )
    const isAt = (progress: object) => taskIsAt(taskId, progress)
    const add = (body: Buffer) => addTo(importId, body)
    await isAt({ looked: 1, found: 0, manifest: 1, lacking: 4 })
    // It is not asked again before that.
    const [stored] = to.sql('SELECT location FROM archive_import_parts WHERE import_id = ?', importId)
    const path = (await to.files()).find((name) => name.endsWith(String(stored?.['location']))) ?? ''
    await rename(path, `${path}-away`)
    await add(await part(0, 1))
    await isAt({ looked: 2, found: 2, manifest: 1, lacking: 2 })
    await add(await tarOf([{ name: 'of no interest' }], [{ name: 'index.html' }]))
    await isAt({ looked: 3, found: 3, manifest: 1, lacking: 1 })
    await rename(`${path}-away`, path)
    await add(await part(2))
    await isAt({ looked: 4, found: 3, manifest: 1, lacking: 1 })
    await add(await part(3))
    expect(await ended(to, taskId, ADMIN.token)).toMatchObject({
      error_message: '',
      progress: { rows: 4, copied: 4, unnamed_files: 1 },
    })
  })

  test('changes nothing about what is here, brings nothing back that was deleted, and quarantines what is quarantined', async () => {
    await importInto(to, [await archiveOf([one(0), one(1), one(2)])])
    await to.ask(`${BASE}/purge/example.org/${ids[1]}`, { method: 'POST', token: ADMIN.token })
    await to.ask(`${BASE}/quarantine/example.org/${ids[2]}`, { method: 'POST', token: ADMIN.token })
    const before = stateOf(ids[0])
    const sameBytes = { ...one(3), body: bodies[2] ?? Buffer.alloc(0) }
    const archive = await archiveOf([{ ...one(0), body: randomBytes(77) }, one(1), one(2), sameBytes])
    expect(await importInto(to, [archive])).toMatchObject({
      error_message: '2 of 4 media could not be imported; `progress` says why',
      progress: { other_content: 1, deleted: 1, known: 1, shared: 1 },
    })
    expect(stateOf(ids[0])).toEqual(before)
    expect(stateOf(ids[1])).toBeUndefined()
    expect(stateOf(ids[2])).toMatchObject({ blocked: 1 })
    expect(stateOf(ids[3])).toMatchObject({ blocked: 1 })
    expect((await downloaded(to, `example.org/${ids[3]}`)).status).toBe(404)
  })

  test('takes no file whose bytes are not what the manifest says, and takes the others', async () => {
    const wrong = { changes: { sha256: sha256(Buffer.from('another')) } }
    expect(await importInto(to, [await archiveOf([one(0), one(1, wrong)])])).toMatchObject({
      progress: { copied: 1, damaged: 1 },
    })
    expect(stateOf(ids[0])).toBeDefined()
    expect(stateOf(ids[1])).toBeUndefined()
  })

  test('gives both of two names that share one file all of its bytes', async () => {
    const shared = { changes: { file_name: `example.org__${ids[0]}` }, body: bodies[0], file: 'unused' }
    expect(await importInto(to, [await archiveOf([one(0), one(1, shared)])])).toMatchObject({ error_message: '' })
    for (const id of ids.slice(0, 2)) expect((await downloaded(to, `example.org/${id}`)).body).toEqual(bodies[0])
  })

  test('passes over what a user of another server is said to have uploaded', async () => {
    const stranger = { changes: { uploader: '@eve:elsewhere.example' } }
    expect(await importInto(to, [await archiveOf([one(0, stranger)])])).toMatchObject({ progress: { invalid: 1 } })
    expect(stateOf(ids[0])).toBeUndefined()
  })

  const hostile: readonly (readonly [string, () => Promise<Buffer[]>, RegExp])[] = [
    ['a path', async () => [await archiveOf([one(0), one(1, { file: '../../x' })])], /file 1: .* is no name of a file/],
    [
      'a link',
      async () => [
        await archiveOf([one(0), one(1, { file: 'another' })]),
        await tarOf([{ name: 'a', type: 'symlink', linkname: '/etc/passwd' }]),
      ],
      /is no file but a symlink/,
    ],
    ['no archive at all', async () => [Buffer.from('hello')], /file 1: The archive is refused/],
    [
      'one that names a media twice',
      async () => [await namingTwice()],
      /file 1: its manifest.json names mxc:\/\/example.org\/\w+ twice/,
    ],
    ['a cut one', async () => [(await archiveOf([one(0)])).subarray(0, -30)], /unexpected end of file/],
  ]
  test.each(hostile)('keeps nothing of %s', async (_, make, message) => {
    const media = to.sql('SELECT count(*) AS count FROM media')
    const { importId, taskId } = await uploadArchive(to, await make(), ADMIN.token).catch(async (error: unknown) => {
      // The task may have refused the first file before the second came.
      const [last] = to.sql('SELECT max(id) AS id FROM tasks')
      if (!String(error).includes('There is no such import')) throw error
      return { importId: '', taskId: Number(last?.['id']) }
    })
    if (importId !== '') await to.ask(`${BASE}/import/${importId}/close`, { method: 'POST', token: ADMIN.token })
    const { error_message: problem } = await ended(to, taskId, ADMIN.token)
    expect(problem).toMatch(message)
    expect(to.sql('SELECT count(*) AS count FROM media')).toEqual(media)
    expect(to.sql(NONE_LEFT)).toEqual([])
  })

  test('begins with a file, not with nothing', async () => {
    const { status, json } = await to.ask(`${BASE}/import`, { method: 'POST', token: ADMIN.token })
    expect([status, json['error']]).toEqual([400, 'The body is empty: send a file of an archive'])
    expect(to.sql(NONE_LEFT)).toEqual([])
  })

  test('stands in the audit log', async () => {
    const { importId } = await uploadArchive(to, [await archiveOf([one(0)])], ADMIN.token)
    const [line] = to.sql('SELECT actor, action FROM audit WHERE subject = ?', importId)
    expect(line).toEqual({ actor: ADMIN.userId, action: 'start_import' })
  })
})

test('What a thumbnail had already is on a disk once an import has brought it', async () => {
  const folder = join(to.folder, 'data', 'media')
  const media = await to.upload(await noise({ width: 400, height: 300 }).png().toBuffer())
  const path = `/_matrix/client/v1/media/thumbnail/${media}?width=32&height=32`
  const { body } = await to.ask(path, { token: ALICE.token })
  const synced = await recordSyncs(folder)
  expect(await importInto(to, [await archiveOf([one(0, { body })])])).toMatchObject({ error_message: '' })
  vi.restoreAllMocks()
  const [{ location = 'none' } = {}] = to.sql('SELECT location FROM objects WHERE sha256 = ?', sha256(body))
  expect(synced).toContain(location)
  expect((await downloaded(to, `example.org/${ids[0]}`)).body.equals(body)).toBe(true)
})
