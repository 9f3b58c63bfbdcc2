/** Media folders as administrators have them: with links to other disks, and without rights. */
import { chmod, rename, rm, stat, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { commandFile, countsIn, importInto } from '../support/importing.ts'
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
