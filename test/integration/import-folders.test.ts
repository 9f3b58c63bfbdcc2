/** Media folders as administrators have them: with links to other disks, and without rights. */
import { once } from 'node:events'
import { chmod, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { commandFile, countsIn, importInto, startCommand } from '../support/importing.ts'
import { startPlace } from '../support/place.ts'
import { startProgram } from '../support/processes.ts'
import { synapseScene } from '../support/synapse-scene.ts'

const PATIENT = { timeout: 120_000 }
const ADOPTED = 'imported where they are, by a link or in their bucket'

/** Root without root's way around modes: then a folder that nobody may read is one for it too. */
const LIKE_OTHERS = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : []

test('Files and folders that moved to another disk, behind symbolic links, are found', PATIENT, async () => {
  await using place = await startPlace()
  await using there = await synapseScene()
  const file = await there.store.add({ mediaId: 'FileBehindLink', bytes: Buffer.from('file'), hashed: true })
  await there.store.add({ mediaId: 'PathBehindLink', bytes: Buffer.from('folder'), hashed: true })
  const broken = await there.store.add({ mediaId: 'LostBehindLink', bytes: Buffer.from('lost'), hashed: true })
  const folder = join(there.store.folder, 'local_content', 'Pa')
  for (const [index, path] of [file, folder, broken].entries()) {
    await rename(path, join(there.folder, `moved-${index}`))
    await symlink(join(there.folder, `moved-${index}`), path)
  }
  await rm(join(there.folder, 'moved-2'))
  const rehearsed = await importInto(place, 'synapse', ...there.flags, '--dry-run')
  expect(countsIn(rehearsed.text)).toEqual({ 'would be imported': 2, 'missing: their files are nowhere': 1 })
  const { code, text: said } = await importInto(place, 'synapse', ...there.flags)
  expect([code, countsIn(said)]).toEqual([
    0,
    { [ADOPTED]: 1, 'imported by a copy': 1, 'missing: their files are nowhere': 1 },
  ])
  expect((await place.alice.download('example.org/FileBehindLink')).body.toString()).toBe('file')
  expect((await place.alice.download('example.org/PathBehindLink')).body.toString()).toBe('folder')
  // What the link leads to could be exchanged: it is no object of ours.
  expect((await stat(join(there.folder, 'moved-0'))).nlink).toBe(1)
})

test(
  'A folder that may not be read, and a list that cannot be written, end it before anything is done',
  PATIENT,
  async () => {
    await using place = await startPlace()
    await using there = await synapseScene()
    await there.store.add({ mediaId: 'AbCdEfGh', bytes: Buffer.from('x'), hashed: true })
    const run = async (...args: readonly string[]) => {
      await using program = await startProgram({
        command: [
          ...LIKE_OTHERS,
          process.execPath,
          commandFile('import_synapse'),
          '-database',
          there.db.address,
          ...args,
        ],
        folder: there.folder,
        environment: { PATH: process.env['PATH'], HOME: there.folder, REPO_CONFIG: place.server.configFile },
      })
      const { code } = await program.ended
      return [code, program.lines.join('\n')]
    }
    const list = join(there.folder, 'no such folder', 'list')
    expect(await run('-list', list)).toEqual([2, expect.stringContaining(`the list ${list} cannot be written: ENOENT`)])
    await chmod(there.store.folder, 0o000)
    const refused = [2, expect.stringMatching(/the media folder \S+media_store cannot be read: EACCES/)]
    expect(await run('-mediaDirectory', there.store.folder)).toEqual(refused)
    // Also where it is found without a word: ./media_store.
    expect(await run()).toEqual(refused)
    await chmod(there.store.folder, 0o700)
    expect(await place.objects()).toEqual([])
  },
)

test(
  'What the folder lacks or has otherwise comes from the homeserver, and nothing else is asked there',
  PATIENT,
  async () => {
    await using place = await startPlace()
    await using there = await synapseScene()
    const bytes = Buffer.from('right')
    await there.store.add({ mediaId: 'InTheFolder', bytes, hashed: true })
    await writeFile(await there.store.add({ mediaId: 'WrongInTheFolder', bytes, hashed: true }), 'wrong')
    await there.store.add({ mediaId: 'NotInTheFolder', bytes, isMissing: true })
    await there.store.add({ mediaId: 'NowhereAtAll', bytes, isMissing: true })
    const asked: string[] = []
    await using homeserver = createServer((request, response) => {
      const mediaId = request.url?.split('/').at(-1) ?? ''
      asked.push(mediaId)
      if (mediaId === 'NowhereAtAll') response.writeHead(404).end('{"errcode":"M_NOT_FOUND"}')
      else response.end(bytes)
    }).listen(0, '127.0.0.1')
    await once(homeserver, 'listening')
    const url = `http://127.0.0.1:${(homeserver.address() as AddressInfo).port}`
    const flags = [...there.flags, '--base-url', url, '--token', 'secret', '--copy']
    const { code, text: said } = await importInto(place, 'synapse', ...flags)
    expect([code, countsIn(said)['missing: their files are nowhere']]).toEqual([0, 1])
    expect(asked.toSorted()).toEqual(['NotInTheFolder', 'NowhereAtAll', 'WrongInTheFolder'])
    for (const mediaId of ['InTheFolder', 'WrongInTheFolder', 'NotInTheFolder']) {
      expect((await place.alice.download(`example.org/${mediaId}`)).body, mediaId).toEqual(bytes)
    }
  },
)

test('Files that Ctrl-C or the homeserver breaks off are fetched again', PATIENT, async () => {
  await using place = await startPlace()
  await using there = await synapseScene()
  for (const mediaId of ['BrokenOff', 'SlowlySent']) {
    await there.store.add({ mediaId, bytes: Buffer.from(mediaId), isMissing: true })
  }
  let isFast = false
  const asked: string[] = []
  await using homeserver = createServer((request, response) => {
    const mediaId = request.url?.split('/').at(-1) ?? ''
    const bytes = Buffer.from(mediaId)
    asked.push(mediaId)
    response.writeHead(200, { 'content-length': bytes.length }).write(bytes.subarray(0, 3))
    if (!isFast && mediaId === 'SlowlySent') return
    if (isFast && mediaId === 'BrokenOff' && asked.filter((one) => one === mediaId).length === 2) response.destroy()
    else response.end(bytes.subarray(3))
  }).listen(0, '127.0.0.1')
  await once(homeserver, 'listening')
  const url = `http://127.0.0.1:${(homeserver.address() as AddressInfo).port}`
  const flags = ['--database', there.db.address, '--base-url', url, '--token', 'secret']
  const args = ['import', 'synapse', '-c', place.server.configFile, ...flags]
  await using stopped = await startCommand('cellarium', args, { folder: place.server.folder })
  await vi.waitFor(() => expect(asked).toHaveLength(2), { timeout: 60_000 })
  expect((await stopped.stop('SIGINT')).code).toBe(1)
  isFast = true
  const { code, text: said } = await importInto(place, 'synapse', ...flags)
  expect([code, countsIn(said)]).toEqual([0, { 'imported by a copy': 2 }])
  expect((await place.alice.download('example.org/SlowlySent')).body.toString()).toBe('SlowlySent')
})
