import { access } from 'node:fs/promises'
import type { Datastores } from '../datastores/datastores.ts'
import type { StoredObject } from '../db/objects.ts'
import type { Context } from '../media/context.ts'
import { findBytes, type OpeningParts } from '../media/download.ts'

export interface SourceParts extends OpeningParts {
  readonly datastores: OpeningParts['datastores'] & Pick<Datastores, 'localFile'>
}

/**
 * What `decode` makes of stored bytes, given as a file of this machine. They may be deleted or moved to another datastore meanwhile:
 * whatever a decoder said of that, they are decoded where they are now.
 *
 * @throws Refused `not_found` when they are nowhere any more; else what `decode` throws
 */
export async function decodeStored<Result>(
  parts: SourceParts,
  ctx: Pick<Context, 'log'>,
  stored: StoredObject,
  decode: (path: string) => Promise<Result>,
): Promise<Result> {
  // Opened for what opening finds out: a lost object is the server's trouble, not the picture's.
  const { object, opened } = await findBytes(parts, ctx, stored)
  await using _ = opened
  await using source = await parts.datastores.localFile(object, opened)
  try {
    return await decode(source.path)
  } catch (error) {
    if (await isThere(source.path)) throw error
  }
  return await decodeStored(parts, ctx, stored, decode)
}

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )
