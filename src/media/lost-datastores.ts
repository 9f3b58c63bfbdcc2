import type { Database } from '../db/connect.ts'
import { datastoresInUse } from '../db/datastores-in-use.ts'
import { usageOf } from '../db/usage.ts'
import { ConfigError } from '../lib/errors.ts'

/**
 * Refuses a configuration that leaves out a datastore in which recorded files lie: without it they could not be read, and the
 * same files, uploaded again, would be taken for lost ones that come back. Throws ConfigError with a line for each that names
 * it and what would be lost. (MMR starts all the same, and answers 500 for those files.)
 */
export async function refuseLostDatastores(
  { db }: { readonly db: Pick<Database, 'read'> },
  configured: readonly { readonly id: string }[],
): Promise<void> {
  const ids = new Set(configured.map(({ id }) => id))
  const lost = (await datastoresInUse(db.read)).filter((id) => !ids.has(id))
  if (lost.length === 0) return
  throw new ConfigError(
    await Promise.all(lost.map(async (id) => sentence(id, await usageOf(db.read, `datastore:${id}`)))),
  )
}

function sentence(id: string, { files, bytes }: { readonly files: number; readonly bytes: number }): string {
  return (
    `datastores: ${id} is not configured, but the database has ${files} ${files === 1 ? 'object' : 'objects'} ` +
    `(${bytes} bytes) in it, which would be lost: configure it again (forKinds: [] if nothing new is to go there), ` +
    'or move them to another datastore first'
  )
}
