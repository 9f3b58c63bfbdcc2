/** A Synapse's database and folder as tests write them, with what is in them afterwards. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openForeignDatabase, type Row } from '../../src/interop/foreign-database.ts'
import { parseDsn } from '../../src/db/dsn.ts'
import { temporaryFolder } from './folder.ts'
import { type HomeserverDatabase, openHomeserverDatabase } from './homeserver-database.ts'
import { freshDatabase } from './services.ts'
import { type SynapseStore, synapseStore } from './synapse-store.ts'

export interface SynapseScene extends AsyncDisposable {
  readonly folder: string
  readonly db: HomeserverDatabase
  readonly store: SynapseStore
  /** As the command line takes it. */
  readonly flags: readonly string[]
  readonly query: (text: string) => Promise<readonly Row[]>
  /** The files in its media folder: their paths there, and what is in them. */
  readonly files: () => Promise<ReadonlyMap<string, string>>
}

export async function synapseScene(engine: 'sqlite' | 'postgres' = 'sqlite'): Promise<SynapseScene> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder({ 'media_store/.keep': '' })).path
  const at =
    engine === 'sqlite' ? { path: join(folder, 'homeserver.db') } : { url: cleanup.use(await freshDatabase()).url }
  const db = cleanup.use(await openHomeserverDatabase(at))
  const store = await synapseStore(db, join(folder, 'media_store'))
  const owned = cleanup.move()
  return {
    folder,
    db,
    store,
    flags: ['--database', db.address, '--media-directory', store.folder],
    async query(text) {
      await using read = await openForeignDatabase(
        at.url === undefined ? { sqlite: db.address } : { postgres: parseDsn(at.url) },
      )
      return await read.query(text)
    },
    files: async () => filesIn(store.folder),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function filesIn(folder: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && entry.name !== '.keep')
  const paths = files.map((entry) => join(entry.parentPath, entry.name))
  const read = paths.map(async (path) => [path.slice(folder.length + 1), await readFile(path, 'utf8')] as const)
  return new Map(await Promise.all(read))
}
