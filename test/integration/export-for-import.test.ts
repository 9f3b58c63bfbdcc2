/** matrix-media-repo's tools without a server: a homeserver's media into an archive, and an archive into a Synapse. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { readEntries } from '../../src/archives/read.ts'
import { wholeManifest } from '../support/archives.ts'
import { dendriteStore } from '../support/dendrite-store.ts'
import { temporaryFolder } from '../support/folder.ts'
import { openHomeserverDatabase } from '../support/homeserver-database.ts'
import { countsIn, runCommand, startCommand } from '../support/importing.ts'
import { describeWith } from '../support/services.ts'
import { type SynapseScene, synapseScene } from '../support/synapse-scene.ts'
import { CREATED, type StoredBySynapse } from '../support/synapse-store.ts'

const PATIENT = { timeout: 120_000 }

const id = (index: number) => `AbCd${String(index).padStart(20, '0')}`
const text = (words: string) => Buffer.from(words)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

const everything: readonly StoredBySynapse[] = [
  { mediaId: id(1), bytes: text('plain'), name: 'grüße 🎉.txt', hashed: true },
  { mediaId: id(2), bytes: text('plain, but not hashed'), user: '@bob:example.org' },
  { mediaId: id(3), bytes: text(''), hashed: true },
  { mediaId: id(4), bytes: text('abuse'), quarantinedBy: '@admin:example.org', hashed: true },
  { mediaId: id(7), bytes: text('a preview’s picture'), previewOf: 'https://example.com/' },
  { mediaId: id(8), bytes: text(''), isPending: true },
  { mediaId: 'remote_1', bytes: text('theirs'), origin: 'other.example', hashed: true },
]

async function filled(
  media: readonly StoredBySynapse[],
  engine: 'sqlite' | 'postgres' = 'sqlite',
): Promise<SynapseScene> {
  const scene = await synapseScene(engine)
  for (const one of media) await scene.store.add(one)
  return scene
}

/** Where MMR's tools look by themselves: its media folder is `./media_store`. */
const exportIn = ({ folder, db }: SynapseScene, ...args: readonly string[]) =>
  runCommand('export_synapse_for_import', ['-database', db.address, '-serverName', 'example.org', ...args], { folder })

const importIn = ({ folder, db }: SynapseScene, ...args: readonly string[]) =>
  runCommand('import_to_synapse', ['-database', db.address, ...args], { folder })

/** What an archive's files hold, by their names. */
async function contentsOf(archive: string): Promise<ReadonlyMap<string, string>> {
  const contents = new Map<string, string>()
  for (const name of await readdir(archive)) {
    for await (const entry of readEntries(createReadStream(join(archive, name)))) {
      contents.set(entry.name, await textOf(entry.bytes))
    }
  }
  return contents
}

const manifestOf = (archive: string) => wholeManifest(createReadStream(join(archive, 'export-manifest.tgz')))

describeWith('postgres', 'export_synapse_for_import and import_to_synapse', () => {
  test.for(['sqlite', 'postgres'] as const)('take own media from one %s to the next', PATIENT, async (engine) => {
    await using from = await filled(everything, engine)
    const exported = await exportIn(from, '-partSize=1000')
    expect([exported.code, exported.text]).toEqual([0, expect.stringContaining('msg="Export completed"')])
    expect(exported.text).toContain('Exporting 7 media records')
    expect(exported.text).toMatch(/Some media are not in the archive.* quarantined=1/)
    const archive = join(from.folder, 'media-export')
    expect((await readdir(archive)).length).toBeGreaterThan(2)
    const manifest = await manifestOf(archive)
    expect(manifest?.entity).toBe('example.org')
    expect(manifest?.media.map(({ mediaId, sha256: hash }) => [mediaId, hash])).toEqual([
      [id(1), sha256(text('plain'))],
      [id(2), sha256(text('plain, but not hashed'))],
      [id(3), sha256(text(''))],
    ])
    expect(manifest?.media[0]).toMatchObject({
      name: 'grüße 🎉.txt',
      createdAt: CREATED,
      uploader: '@alice:example.org',
    })
    expect([...(await contentsOf(archive)).values()]).not.toContain('abuse')

    await using to = await synapseScene(engine)
    const args = ['-directory', archive, '-mediaDirectory', to.store.folder]
    const rehearsed = await importIn(to, ...args, '-dryRun')
    expect([rehearsed.code, countsIn(rehearsed.text)]).toEqual([0, { 'would be brought there': 3 }])
    const ran = await importIn(to, ...args)
    expect([ran.code, countsIn(ran.text)]).toEqual([0, { 'brought there by a copy': 3 }])
    expect(ran.text).toContain(`Done! If there's no warnings above, you're probably fine.`)
    const rows = await to.query('SELECT * FROM local_media_repository ORDER BY media_id')
    expect(rows).toMatchObject([
      { media_id: id(1), upload_name: 'grüße 🎉.txt', user_id: '@alice:example.org', sha256: sha256(text('plain')) },
      { media_id: id(2), user_id: '@bob:example.org', media_length: 21 },
      { media_id: id(3), media_length: 0 },
    ])
    expect(rows.map((row) => Number(row['created_ts']))).toEqual([CREATED, CREATED, CREATED])
    expect(rows.map((row) => Number(row['authenticated']))).toEqual([1, 1, 1])
    expect([...(await to.files()).values()].toSorted()).toEqual(['', 'plain', 'plain, but not hashed'])
    const again = await importIn(to, ...args)
    expect([again.code, countsIn(again.text)]).toEqual([0, { 'there already': 3 }])
    const checked = await importIn(to, ...args, '-verify')
    expect([checked.code, countsIn(checked.text)]).toEqual([0, { 'there, whole, and as they are here': 3 }])
  })
})

describe('export_synapse_for_import', () => {
  test('ends at the first missing file, or leaves it out with -skipMissing, and goes on', PATIENT, async () => {
    await using from = await filled([...everything.slice(0, 3), { mediaId: id(9), bytes: text('x'), isMissing: true }])
    const ended = await exportIn(from)
    expect([ended.code, ended.text]).toEqual([
      1,
      expect.stringContaining(`the file of mxc://example.org/${id(9)} is missing: -skipMissing leaves such media out`),
    ])
    const archive = join(from.folder, 'media-export')
    expect(await readdir(archive)).not.toContain('export-manifest.tgz')
    const skipped = await exportIn(from, '-skipMissing')
    expect([skipped.code, skipped.text]).toEqual([0, expect.stringMatching(/Left out.* problem=missing/)])
    expect((await manifestOf(archive))?.media).toHaveLength(3)
    const nowhere = await exportIn(from, '-destination', './homeserver.db')
    expect([nowhere.code, nowhere.text]).toEqual([
      2,
      expect.stringMatching(/^the folder \S+homeserver.db cannot be used: /m),
    ])
    const wrong = await runCommand('export_synapse_for_import', ['-database', from.db.address], { folder: from.folder })
    expect([wrong.code, wrong.text]).toEqual([2, expect.stringContaining('is of example.org, not of localhost')])
  })

  test('goes on where it was killed; import_to_synapse does so too', PATIENT, async () => {
    const media = Array.from({ length: 300 }, (_, index) => ({
      mediaId: id(index),
      bytes: text(`content ${index}`),
      hashed: index % 2 === 0,
    }))
    await using from = await filled(media)
    const flags = ['-database', from.db.address, '-serverName=example.org', '-partSize', '20000']
    await killOften('export_synapse_for_import', flags, from.folder, 'Exporting')
    expect((await exportIn(from, '-partSize', '20000')).code).toBe(0)
    const archive = join(from.folder, 'media-export')
    expect((await manifestOf(archive))?.media).toHaveLength(300)
    await using to = await synapseScene()
    const args = ['-directory', archive, '-mediaDirectory', to.store.folder]
    await killOften('import_to_synapse', ['-database', to.db.address, ...args], to.folder, 'Exporting media')
    expect((await importIn(to, ...args)).code).toBe(0)
    const checked = await importIn(to, ...args, '-verify')
    expect([checked.code, countsIn(checked.text)]).toEqual([0, { 'there, whole, and as they are here': 300 }])
    expect(await to.query('SELECT count(*) AS rows FROM local_media_repository')).toEqual([{ rows: 300 }])
  })
})

async function killOften(name: string, args: readonly string[], folder: string, begun: string): Promise<void> {
  for (let kill = 0; kill < 3; kill++) {
    await using killed = await startCommand(name, args, { folder })
    while (killed.running && !killed.lines.some((line) => line.includes(begun))) await pause(5)
    await pause(Math.random() * 150)
    await killed.stop('SIGKILL')
  }
}

describe('import_to_synapse', () => {
  test('says what an archive names and has no file of, and refuses a folder without an archive', PATIENT, async () => {
    await using from = await filled(everything.slice(0, 3))
    expect((await exportIn(from, '-partSize', '1', '-destination', './gdpr-data')).code).toBe(0)
    await rm(join(from.folder, 'gdpr-data', 'export-part-1.tgz'))
    await using to = await synapseScene()
    const args = ['-database', to.db.address, '-mediaDirectory', to.store.folder]
    // Older Synapses let everybody have what was uploaded to them; an archive does not tell.
    await to.store.add({ mediaId: id(2), bytes: text('plain, but not hashed'), hashed: true, user: '@bob:example.org' })
    // The archive is where MMR's tool looks by itself.
    const ran = await runCommand('import_to_synapse', [...args, '-debug'], { folder: from.folder })
    expect([ran.code, countsIn(ran.text)]).toEqual([
      0,
      { 'brought there by a copy': 1, 'there already': 1, 'lost here: their files are gone': 1 },
    ])
    expect(ran.text).toContain(`mxc://example.org/${id(1)}  lost`)
    expect(ran.text).toMatch(/level=debug msg=Media mxc="mxc:.*" outcome=copied/)
    const checked = await runCommand('import_to_synapse', [...args, '-verify'], { folder: from.folder })
    expect(countsIn(checked.text)).toEqual({ 'there, whole, and as they are here': 2, 'not there yet': 1 })
    const none = await runCommand('import_to_synapse', [...args, '-directory', from.store.folder], {
      folder: to.folder,
    })
    expect([none.code, none.text]).toEqual([2, expect.stringContaining('has no whole archive')])
  })
})

describe('export_dendrite_for_import', () => {
  test('archives own media by their hashes, which some share', PATIENT, async () => {
    await using folder = await temporaryFolder()
    await using db = await openHomeserverDatabase({ path: join(folder.path, 'mediaapi.db') })
    const store = await dendriteStore(db, join(folder.path, 'media_store'))
    await store.add({ mediaId: 'a'.repeat(64), bytes: text('shared'), name: 'grüße & küsse.txt' })
    await store.add({ mediaId: 'oldStyleId', bytes: text('shared') })
    await store.add({ mediaId: 'd'.repeat(64), bytes: text('theirs'), origin: 'other.example' })
    const flags = ['-database', db.address, '-serverName', 'example.org', '-prettyLog', '-templates', './templates']
    const { code, text: said } = await runCommand('export_dendrite_for_import', flags, { folder: folder.path })
    expect([code, said]).toEqual([0, expect.stringContaining('Export completed')])
    const archive = join(folder.path, 'media-export')
    const media = (await manifestOf(archive))?.media ?? []
    expect(media.map(({ mediaId, name, sha256: hash }) => [mediaId, name, hash])).toEqual([
      ['a'.repeat(64), 'grüße & küsse.txt', sha256(text('shared'))],
      ['oldStyleId', '', sha256(text('shared'))],
    ])
    const contents = await contentsOf(archive)
    for (const { fileName } of media) expect(contents.get(fileName)).toBe('shared')
  })
})
