import { createHash, randomBytes } from 'node:crypto'
import { appendFile, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findMedia } from '../../src/db/media.ts'
import { findProtection } from '../../src/db/protection.ts'
import { temporaryFolder } from '../support/folder.ts'
import { type HomeserverDatabase, openHomeserverDatabase } from '../support/homeserver-database.ts'
import { commandFile, countsIn, databaseOf, importInto } from '../support/importing.ts'
import { startPlace } from '../support/place.ts'
import { startProgram } from '../support/processes.ts'
import { describeWith, freshDatabase } from '../support/services.ts'
import { CREATED, type StoredBySynapse, type SynapseStore, synapseStore } from '../support/synapse-store.ts'

const PATIENT = { timeout: 120_000 }
const COMPLETED = /level=info msg="Import completed"/
const ADOPTED = 'imported where they are, by a link or in their bucket'

interface Scene extends AsyncDisposable {
  readonly folder: string
  readonly db: HomeserverDatabase
  readonly store: SynapseStore
}

/** A Synapse's database and folder, below the system's temporary folder if not told where. */
async function scene(engine: 'sqlite' | 'postgres' = 'sqlite', below?: string): Promise<Scene> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder({}, below)).path
  const at =
    engine === 'sqlite' ? { path: join(folder, 'homeserver.db') } : { url: cleanup.use(await freshDatabase()).url }
  const db = cleanup.use(await openHomeserverDatabase(at))
  const store = await synapseStore(db, join(folder, 'media_store'))
  const owned = cleanup.move()
  return { folder, db, store, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const from = ({ db, store }: Scene) => ['--database', db.address, '--media-directory', store.folder]

const id = (index: number) => `AbCd${String(index).padStart(20, '0')}`
const text = (words: string) => Buffer.from(words)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

const everything: readonly StoredBySynapse[] = [
  { mediaId: id(1), bytes: text('plain'), name: 'grüße 🎉.txt', hashed: true, lastAccess: CREATED + 5000 },
  { mediaId: id(2), bytes: text('plain, but not hashed'), user: '@bob:example.org' },
  { mediaId: id(3), bytes: text(''), hashed: true },
  { mediaId: id(4), bytes: text('abuse'), quarantinedBy: '@admin:example.org', hashed: true },
  { mediaId: id(5), bytes: text('a sticker'), isProtected: true },
  { mediaId: id(6), bytes: text('frozen'), authenticated: true },
  { mediaId: id(7), bytes: text('a preview’s picture'), previewOf: 'https://example.com/' },
  { mediaId: id(8), bytes: text(''), isPending: true },
  { mediaId: id(9), bytes: text('lost'), isMissing: true },
  { mediaId: 'remote_1', bytes: text('theirs'), origin: 'matrix.org:8448', hashed: true, type: 'image/png' },
  { mediaId: 'remote-2', bytes: text('theirs, frozen'), origin: 'other.example', authenticated: true },
  { mediaId: 'abuse2', bytes: text('abuse'), origin: 'other.example', hashed: true },
]

describe('cellarium import synapse', () => {
  test('leads nobody out of the folder, and takes no type or name that is none', PATIENT, async () => {
    await using place = await startPlace()
    await using there = await scene()
    await writeFile(join(there.folder, 'secret'), 'secret')
    const row = {
      media_type: 'text/html\r\nX-Evil: 1',
      media_length: 6,
      created_ts: 1,
      upload_name: '../../etc/passwd',
    }
    await there.db.insert('remote_media_cache', {
      ...row,
      media_origin: 'other.example',
      media_id: 'evil',
      filesystem_id: '....//../secret',
    })
    await there.db.insert('remote_media_cache', {
      ...row,
      media_origin: '../..',
      media_id: 'evil2',
      filesystem_id: 'abcdef',
    })
    await there.store.add({
      mediaId: id(1),
      bytes: text('<html>'),
      type: 'text/html\r\nX-Evil: 1',
      name: '../../etc/passwd',
    })
    const { code, text: said } = await importInto(place, 'synapse', ...from(there))
    expect([code, countsIn(said)]).toEqual([
      0,
      {
        [ADOPTED]: 1,
        'missing: their files are nowhere': 1,
        'passed over: nobody could ask for them by their names': 1,
      },
    ])
    expect(said).toContain('mxc://../../evil2  invalid  no server name\n')
    await using db = await databaseOf(place)
    const kept = await findMedia(db.read, 'example.org', id(1))
    expect(kept).toMatchObject({ contentType: 'application/octet-stream', uploadName: 'passwd' })
  })

  test('a second time takes what is new, keeps what was decided here, and reports other content', PATIENT, async () => {
    await using place = await startPlace()
    await using there = await scene()
    for (const index of [1, 2, 3, 4])
      await there.store.add({ mediaId: id(index), bytes: text(`content ${index}`), hashed: true })
    expect((await importInto(place, 'synapse', ...from(there))).code).toBe(0)

    await there.store.add({ mediaId: id(5), bytes: text('new') })
    const set = async (index: number, what: string) =>
      await there.db.execute(`UPDATE local_media_repository SET ${what} WHERE media_id = '${id(index)}'`)
    await set(1, `quarantined_by = '@admin:example.org'`)
    await set(2, 'safe_from_quarantine = TRUE, last_access_ts = 4000000000000')
    await set(3, `sha256 = '${sha256(text('another'))}'`)
    const again = await importInto(place, 'synapse', ...from(there))
    expect(again.text).toMatch(
      new RegExp(`^mxc://example.org/${id(3)}  other_content  here ${sha256(text('content 3'))}`, 'm'),
    )
    expect([again.code, countsIn(again.text)]).toEqual([
      0,
      { [ADOPTED]: 1, 'here already': 3, 'here with other content, which was kept': 1 },
    ])
    await using db = await databaseOf(place)
    expect((await findMedia(db.read, 'example.org', id(1)))?.quarantinedAt).not.toBeNull()
    expect(await findMedia(db.read, 'example.org', id(2))).toMatchObject({ accessedAt: 4_000_000_000_000 })
    expect((await findProtection(db.read, { origin: 'example.org', mediaId: id(2) }))?.protectedAt).not.toBeNull()
    expect((await place.alice.download(`example.org/${id(1)}`)).status).toBe(404)
    expect((await place.alice.download(`example.org/${id(3)}`)).body).toEqual(text('content 3'))
  })

  test('says what it would do with --dry-run, and changes nothing', PATIENT, async () => {
    await using place = await startPlace()
    await using there = await scene()
    for (const one of everything) await there.store.add(one)
    const { code, text: said } = await importInto(place, 'synapse', ...from(there), '--dry-run')
    expect([code, countsIn(said)]).toEqual([
      0,
      {
        'would be imported': 9,
        'missing: their files are nowhere': 1,
        'passed over: reserved, never uploaded': 1,
        'passed over: pictures of URL previews': 1,
      },
    ])
    await using db = await databaseOf(place)
    expect(await findMedia(db.read, 'example.org', id(1))).toBeUndefined()
    expect(await place.objects()).toEqual([])
    expect(await db.read.selectFrom('care_progress').selectAll().where('chore', 'like', 'import%').execute()).toEqual(
      [],
    )
  })

  test(
    'copies where no link can be made, compares what it copies, and lists in a file what is damaged',
    PATIENT,
    async () => {
      await using place = await startPlace()
      // Another file system than that of the temporary folder.
      await using there = await scene('sqlite', '/dev/shm')
      const bytes = randomBytes(300_000)
      await there.store.add({ mediaId: id(1), bytes, hashed: true })
      await there.store.add({ mediaId: id(2), bytes: text('unknown hash') })
      const other = await there.store.add({ mediaId: id(3), bytes: text('was right'), hashed: true })
      const longer = await there.store.add({ mediaId: id(4), bytes: text('was right too'), hashed: true })
      await writeFile(other, 'is wrong!')
      await appendFile(longer, '!')
      const list = join(there.folder, 'problems')
      const { code, text: said } = await importInto(place, 'synapse', ...from(there), '--list', list)
      expect([code, countsIn(said)]).toEqual([
        0,
        { 'imported by a copy': 2, 'damaged: their files are not what the records say': 2 },
      ])
      const listed = await readFile(list, 'utf8')
      expect(listed).toMatch(
        new RegExp(`${id(3)}  damaged  the folder .* has other bytes .*${sha256(text('is wrong!'))}`),
      )
      expect(listed).toMatch(
        new RegExp(`${id(4)}  damaged  the folder .* has 14 bytes, the homeserver's record says 13`),
      )
      expect((await place.alice.download(`example.org/${id(1)}`)).body.equals(bytes)).toBe(true)
      expect(await place.objects()).toHaveLength(2)
    },
  )

  test('finds with --verify what is not as it should be, byte by byte', PATIENT, async () => {
    await using place = await startPlace()
    await using there = await scene()
    const paths: string[] = []
    for (const index of [1, 2, 3]) {
      paths.push(await there.store.add({ mediaId: id(index), bytes: text(`content ${index}`), hashed: true }))
    }
    await importInto(place, 'synapse', ...from(there))
    expect((await importInto(place, 'synapse', ...from(there), '--verify')).code).toBe(0)
    // The link shares its bytes.
    await writeFile(paths[0] ?? '', 'CONTENT 1')
    await there.db.execute(`UPDATE local_media_repository SET authenticated = TRUE WHERE media_id = '${id(2)}'`)
    await there.store.add({ mediaId: id(4), bytes: text('not yet') })
    const { code, text: said } = await importInto(place, 'synapse', '--database', there.db.address, '--verify')
    expect([code, countsIn(said)]).toEqual([
      1,
      {
        'here, whole, and as they are there': 1,
        'damaged: their files are not what the records say': 1,
        'here, but less protected than there': 1,
        'not here yet': 1,
      },
    ])
  })

  test('refuses what is another homeserver’s, or no Synapse, and says what is missing', PATIENT, async () => {
    await using place = await startPlace()
    await using there = await scene()
    await there.store.add({ mediaId: id(1), bytes: text('x') })
    const refused = async (...args: string[]) => {
      const { code, text: said } = await importInto(place, 'synapse', ...args)
      expect(code).toBe(2)
      return said
    }
    expect(await refused(...from(there), '--server-name', 'else.example')).toContain(
      'no homeserver else.example, only example.org',
    )
    expect(await refused('--database', there.db.address)).toMatch(
      /mount it at \/media_store, or name it with --media-directory/,
    )
    const missing = join(there.folder, 'no such folder')
    expect(await refused('--database', there.db.address, '--media-directory', missing)).toContain(
      `the media folder ${missing} cannot be read`,
    )
    await there.db.execute(`UPDATE local_media_repository SET user_id = '@alice:elsewhere.example'`)
    expect(await refused(...from(there))).toContain('is of elsewhere.example, not of example.org')
    const empty = join(there.folder, 'empty.db')
    await writeFile(empty, '')
    expect(await refused('--database', empty, '--media-directory', there.folder)).toContain('is no database of Synapse')
  })

  test('reads Synapse’s own configuration: name, database, folders', PATIENT, async () => {
    await using place = await startPlace()
    await using there = await scene()
    await there.store.add({ mediaId: id(1), bytes: text('in the first') })
    const second = await there.store.add({ mediaId: id(2), bytes: text('in the second'), hashed: true })
    const backup = second.replace('media_store', 'backup')
    await mkdir(join(backup, '..'), { recursive: true })
    await writeFile(backup, await readFile(second))
    await rm(second)
    const file = join(there.folder, 'homeserver.yaml')
    await writeFile(
      file,
      `server_name: example.org
database: { name: sqlite3, args: { database: homeserver.db } }
media_store_path: media_store
media_storage_providers: [{ module: file_system, config: { directory: backup } }]
`,
    )
    const { code, text: said } = await importInto(place, 'synapse', '--homeserver-config', file)
    expect([code, countsIn(said)]).toEqual([0, { [ADOPTED]: 2 }])
    await rm(join(there.folder, 'backup'), { recursive: true })
    const missing = await importInto(place, 'synapse', '--homeserver-config', file)
    expect([missing.code, missing.text]).toEqual([
      2,
      expect.stringContaining('/backup, which is not here: mount it there'),
    ])
  })
})

describe('import_synapse', () => {
  test(
    'asks for the machine id and the password at a terminal as MMR does, and takes no notice of the id',
    PATIENT,
    async () => {
      await using place = await startPlace()
      await using there = await scene()
      const flags = ['-config', place.server.configFile, '-mediaDirectory', there.folder, '-dbPort', '1', '-workers=3']
      const answers = "(sleep 1; echo 1; sleep 1; echo 'the secret'; sleep 1)"
      const command = [process.execPath, commandFile('import_synapse'), ...flags].map((word) => `'${word}'`).join(' ')
      const asking = await startProgram({
        command: ['sh', '-c', `${answers} | script -qec "${command}" /dev/null`],
        folder: there.folder,
        environment: { PATH: process.env['PATH'], HOME: there.folder },
      })
      await asking.ended
      const said = asking.lines.join('\n')
      expect(said).toMatch(/Machine ID: [^]*Machine IDs are not needed any more[^]*Postgres password: [^]*ECONNREFUSED/)
    },
  )
})

describeWith('postgres', 'cellarium import synapse brings everything that Synapse knows of its media', () => {
  test.for(['sqlite', 'postgres'] as const)('from %s', PATIENT, async (engine) => {
    await using place = await startPlace()
    await using there = await scene(engine)
    const paths: string[] = []
    for (const one of everything) paths.push(await there.store.add(one))
    const { code, text: said } = await importInto(place, 'synapse', ...from(there))
    expect([code, said]).toEqual([0, expect.stringMatching(COMPLETED)])
    expect(countsIn(said)).toEqual({
      [ADOPTED]: 8,
      // The second copy of the abuse.
      'imported with content that was here already': 1,
      'missing: their files are nowhere': 1,
      'passed over: reserved, never uploaded': 1,
      'passed over: pictures of URL previews': 1,
    })
    await using db = await databaseOf(place)
    const record = async (origin: string, mediaId: string) => await findMedia(db.read, origin, mediaId)
    expect(await record('example.org', id(1))).toMatchObject({
      kind: 'upload',
      contentType: 'text/plain',
      uploadName: 'grüße 🎉.txt',
      uploader: '@alice:example.org',
      createdAt: CREATED,
      accessedAt: CREATED + 5000,
      authenticatedAt: null,
      sha256: sha256(text('plain')),
    })
    expect(await record('example.org', id(2))).toMatchObject({
      uploader: '@bob:example.org',
      accessedAt: null,
      sha256: sha256(text('plain, but not hashed')),
    })
    expect(await record('example.org', id(6))).toMatchObject({ authenticatedAt: CREATED })
    expect(await record('matrix.org:8448', 'remote_1')).toMatchObject({
      kind: 'remote',
      uploader: null,
      contentType: 'image/png',
    })
    expect((await findProtection(db.read, { origin: 'example.org', mediaId: id(5) }))?.protectedAt).not.toBeNull()
    // Its content is quarantined, whatever its own record says.
    expect((await record('other.example', 'abuse2'))?.quarantinedAt).not.toBeNull()

    for (const { bytes, origin = 'example.org', mediaId, ...one } of everything) {
      const { status, body } = await place.alice.download(`${origin}/${mediaId}`, 0)
      const isThere = !one.quarantinedBy && mediaId !== 'abuse2' && !one.previewOf && !one.isPending && !one.isMissing
      expect([mediaId, status === 200 && body.equals(bytes)]).toEqual([mediaId, isThere])
    }
    const [deed] = await db.read.selectFrom('audit').selectAll().where('action', '=', 'import_media').execute()
    expect(deed).toMatchObject({ subject: 'synapse example.org', affected: 9, error: '' })
    // By a link, so that nothing was read nor copied; and what is Synapse's is as it was.
    expect((await stat(paths[0] ?? '')).nlink).toBe(2)
    expect(await readFile(paths[0] ?? '', 'utf8')).toBe('plain')
    const again = await importInto(place, 'synapse', ...from(there))
    expect(countsIn(again.text)).toMatchObject({ 'here already': 9, 'missing: their files are nowhere': 1 })
  })
})
