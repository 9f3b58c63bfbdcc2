/** A Synapse with as many media as one likes, and how an import of them goes: rows a second, and memory. */
import { createHash } from 'node:crypto'
import { link, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { startCommand } from './importing.ts'
import { openHomeserverDatabase } from './homeserver-database.ts'
import { synapseStore } from './synapse-store.ts'

export interface Many {
  readonly database: string
  readonly mediaFolder: string
}

/** `rows` names of `contents` files, all of one user, in 256 folders. */
export async function writeManyMedia(folder: string, rows: number, contents: number): Promise<Many> {
  const database = join(folder, 'homeserver.db')
  const mediaFolder = join(folder, 'media_store')
  {
    await using db = await openHomeserverDatabase({ path: database })
    await synapseStore(db, mediaFolder)
  }
  const db = new DatabaseSync(database)
  const insert = db.prepare(`INSERT INTO local_media_repository
    (media_id, media_type, media_length, created_ts, user_id, authenticated, sha256) VALUES (?, 'text/plain', ?, ?, ?, 1, ?)`)
  db.exec('PRAGMA synchronous = OFF; BEGIN')
  const first: string[] = []
  for (let row = 0; row < rows; row++) {
    const content = row % contents
    const bytes = `content ${content}`
    const mediaId = `ab${(row % 256).toString(16).padStart(2, '0')}${String(row).padStart(20, '0')}`
    const path = join(mediaFolder, 'local_content', mediaId.slice(0, 2), mediaId.slice(2, 4), mediaId.slice(4))
    if (row < 256) await mkdir(dirname(path), { recursive: true })
    const [before] = [first[content]]
    if (before === undefined) {
      await writeFile(path, bytes)
      first.push(path)
    } else await link(before, path)
    const hash = createHash('sha256').update(bytes).digest('hex')
    insert.run(mediaId, bytes.length, 1_600_000_000_000 + row, '@alice:example.org', hash)
  }
  db.exec('COMMIT')
  db.close()
  return { database, mediaFolder }
}

export interface Course {
  readonly code: number | null
  readonly text: string
  readonly seconds: number
  /** Resident memory of the process in MiB, at several times, in order. */
  readonly memory: readonly number[]
}

/** Imports them into what `configFile` says, and watches. */
export async function watchImport({ database, mediaFolder }: Many, configFile: string): Promise<Course> {
  const from = ['--database', database, '--media-directory', mediaFolder]
  return await watchCommand(['import', 'synapse', ...from], configFile)
}

/** Runs `cellarium` with these arguments and this configuration, and watches. */
export async function watchCommand(command: readonly string[], configFile: string): Promise<Course> {
  const args = [...command, '-c', configFile]
  const began = performance.now()
  await using program = await startCommand('cellarium', args, { folder: dirname(configFile) })
  const memory: number[] = []
  while (program.running) {
    const mib = await residentMiB(program.pid)
    if (mib !== undefined) memory.push(mib)
    await pause(100)
  }
  const { code } = await program.ended
  return { code, text: program.lines.join('\n'), seconds: (performance.now() - began) / 1000, memory }
}

/** Undefined once it has ended. */
async function residentMiB(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]
  return kib === undefined ? undefined : Number(kib) / 1024
}
