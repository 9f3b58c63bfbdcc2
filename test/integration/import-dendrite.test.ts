import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { findMedia } from '../../src/db/media.ts'
import { usageOf } from '../../src/db/usage.ts'
import { CREATED, type DendriteStore, dendriteStore, type StoredByDendrite } from '../support/dendrite-store.ts'
import { temporaryFolder } from '../support/folder.ts'
import { type HomeserverDatabase, openHomeserverDatabase } from '../support/homeserver-database.ts'
import { countsIn, databaseOf, importInto, runCommand, startCommand } from '../support/importing.ts'
import { startPlace } from '../support/place.ts'
import { describeWith, freshDatabase, freePort } from '../support/services.ts'

const PATIENT = { timeout: 120_000 }
const ADOPTED = 'imported where they are, by a link or in their bucket'
const SHARED = 'imported with content that was here already'
const MISSING = 'missing: their files are nowhere'

interface Scene extends AsyncDisposable {
  readonly folder: string
  readonly db: HomeserverDatabase
  readonly store: DendriteStore
  readonly url: string | undefined
}

async function scene(engine: 'sqlite' | 'postgres' = 'sqlite'): Promise<Scene> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const url = engine === 'sqlite' ? undefined : cleanup.use(await freshDatabase()).url
  const at = url === undefined ? { path: join(folder, 'mediaapi.db') } : { url }
  const db = cleanup.use(await openHomeserverDatabase(at))
  const store = await dendriteStore(db, join(folder, 'media_store'))
  const owned = cleanup.move()
  return { folder, db, store, url, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const text = (words: string) => Buffer.from(words)
const content = (index: number) => text(`content ${index % 700}`)

const everything: readonly StoredByDendrite[] = [
  { mediaId: 'a'.repeat(64), bytes: text('shared content'), name: 'grüße & küsse/✓.txt' },
  { mediaId: 'oldStyleId', bytes: text('shared content'), type: 'image/png' },
  { mediaId: 'c'.repeat(64), bytes: text('') },
  { mediaId: 'd'.repeat(64), bytes: text('shared content'), origin: 'matrix.org:8448', name: 'theirs.txt' },
  { mediaId: 'e'.repeat(64), bytes: text('theirs only'), origin: 'other.example' },
  { mediaId: 'f'.repeat(64), bytes: text('lost'), isMissing: true },
]

describeWith('postgres', 'cellarium import dendrite brings its own media and those of others', () => {
  test.for(['sqlite', 'postgres'] as const)('from %s', PATIENT, async (engine) => {
    await using place = await startPlace()
    await using there = await scene(engine)
    for (const one of everything) await there.store.add(one)
    const from = ['--database', there.db.address, '--media-directory', there.store.folder]
    const { code, text: said } = await importInto(place, 'dendrite', ...from)
    expect([code, said]).toEqual([
      0,
      expect.stringMatching(/level=info msg="Import completed" records=6 imported=5 missing=1/),
    ])
    const counts = countsIn(said)
    expect(counts[MISSING]).toBe(1)
    expect((counts[ADOPTED] ?? 0) + (counts[SHARED] ?? 0)).toBe(5)
    await using db = await databaseOf(place)
    expect(await findMedia(db.read, 'example.org', 'a'.repeat(64))).toMatchObject({
      kind: 'upload',
      uploader: '@alice:example.org',
      uploadName: '✓.txt',
      createdAt: CREATED,
      accessedAt: null,
      authenticatedAt: null,
      quarantinedAt: null,
    })
    expect(await findMedia(db.read, 'matrix.org:8448', 'd'.repeat(64))).toMatchObject({
      kind: 'remote',
      uploader: null,
    })
    for (const { origin = 'example.org', mediaId, bytes, isMissing } of everything) {
      const { status, body } = await place.alice.download(`${origin}/${mediaId}`, 0)
      expect([mediaId, status === 200 && body.equals(bytes)]).toEqual([mediaId, !isMissing])
    }
    // The content that three names share is there once.
    expect(await place.objects()).toHaveLength(3)
    const again = await importInto(place, 'dendrite', ...from)
    expect(countsIn(again.text)).toEqual({ 'here already': 5, [MISSING]: 1 })
    const checked = await importInto(place, 'dendrite', ...from, '--verify')
    expect(countsIn(checked.text)['here, whole, and as they are there']).toBe(5)
  })

  test('by the command that the playbook documents, which says only where the database is', PATIENT, async () => {
    await using place = await startPlace()
    await using there = await scene('postgres')
    for (const one of everything) await there.store.add(one)
    const { hostname, port, username, password, pathname } = new URL(there.url ?? '')
    const flags = ['-dbName', pathname.slice(1), '-dbHost', hostname, '-dbPort', port, '-dbUsername', username]
    const environment = { REPO_CONFIG: place.server.configFile }
    // Its folder is mounted beside: ./media_store.
    const ran = await runCommand('import_dendrite', [...flags, `-dbPassword=${decodeURIComponent(password)}`], {
      folder: there.folder,
      environment,
    })
    expect([ran.code, ran.text]).toEqual([0, expect.stringMatching(/msg="Import completed"/)])
    expect((await place.alice.download(`example.org/${'a'.repeat(64)}`)).status).toBe(200)
    const alone = await runCommand('import_dendrite', flags, { folder: place.server.folder, environment })
    expect([alone.code, alone.text]).toEqual([
      2,
      expect.stringMatching(/base_path\): mount it at \/media_store, or name it with -mediaDirectory/),
    ])
    const asked = await runCommand('import_dendrite', flags, { folder: there.folder, environment })
    expect([asked.code, asked.text.split('\n')]).toEqual([
      1,
      [expect.stringContaining('needs a password'), expect.any(String)],
    ])
  })
})

describe('cellarium import dendrite', () => {
  test('goes on where it was killed, as often as it is', PATIENT, async () => {
    await using place = await startPlace()
    await using there = await scene()
    for (let index = 0; index < 1500; index++) await there.store.add({ mediaId: `id${index}`, bytes: content(index) })
    const from = ['--database', there.db.address, '--media-directory', there.store.folder]
    const args = ['import', 'dendrite', '-c', place.server.configFile, ...from]
    for (let kill = 0; kill < 4; kill++) {
      await using killed = await startCommand('cellarium', args, { folder: place.server.folder })
      while (killed.running && !killed.lines.some((line) => line.includes('Importing media'))) await pause(5)
      await pause(Math.random() * 120)
      await killed.stop('SIGKILL')
    }
    const { code } = await importInto(place, 'dendrite', ...from)
    expect(code).toBe(0)
    await using db = await databaseOf(place)
    const all = Array.from({ length: 1500 }, (_, index) => content(index).length).reduce((a, b) => a + b, 0)
    expect(await usageOf(db.read, 'server:example.org')).toEqual({ bytes: all, files: 1500 })
    const checked = await importInto(place, 'dendrite', ...from, '--verify')
    expect(countsIn(checked.text)).toEqual({ 'here, whole, and as they are there': 1500 })
  })

  test(
    'fetches over HTTP what no folder has: from the old address where there is no other, again where it has to',
    PATIENT,
    async () => {
      await using place = await startPlace()
      await using there = await scene()
      for (const one of everything) await there.store.add({ ...one, isMissing: true })
      const asked: string[] = []
      let isBusy = true
      const server = createServer((request, response) => {
        const url = request.url ?? ''
        asked.push(`${url} ${request.headers.authorization}`)
        const answer = (status: number, body: string | Buffer) => response.writeHead(status).end(body)
        if (url.startsWith('/_matrix/client/v1/')) return answer(404, '{"errcode":"M_UNRECOGNIZED"}')
        const one = everything.find(({ mediaId }) => url.endsWith(mediaId))
        if (!one || one.isMissing) return answer(404, '{"errcode":"M_NOT_FOUND"}')
        if (isBusy) {
          isBusy = false
          return answer(503, 'later')
        }
        return answer(200, one.mediaId === 'oldStyleId' ? text('other content!') : Buffer.from(one.bytes))
      })
      const port = await freePort()
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      const url = `http://127.0.0.1:${port}/`
      const from = ['--database', there.db.address, '--base-url', url, '--token', 'secret-token']
      const { code, text: said } = await importInto(place, 'dendrite', ...from)
      expect([code, countsIn(said)]).toMatchObject([
        0,
        { [MISSING]: 1, 'damaged: their files are not what the records say': 1 },
      ])
      expect(asked).toContainEqual(`/_matrix/media/v3/download/matrix.org%3A8448/${'d'.repeat(64)} Bearer secret-token`)
      expect((await place.alice.download(`other.example/${'e'.repeat(64)}`)).body).toEqual(text('theirs only'))
      server.closeAllConnections()
      server.close()
      const down = await importInto(place, 'dendrite', ...from)
      expect([down.code, down.text]).toEqual([2, expect.stringMatching(/ECONNREFUSED/)])
    },
  )

  test('takes no other database for Dendrite’s', PATIENT, async () => {
    await using place = await startPlace()
    await using folder = await temporaryFolder()
    const empty = join(folder.path, 'empty.db')
    await writeFile(empty, '')
    const { code, text: said } = await importInto(
      place,
      'dendrite',
      '--database',
      empty,
      '--media-directory',
      folder.path,
    )
    expect([code, said]).toEqual([2, expect.stringContaining('is no database of Dendrite')])
    expect(await readFile(empty, 'utf8')).toBe('')
  })
})
