import { access } from 'node:fs/promises'
import type { Datastores } from '../datastores/datastores.ts'
import type { ObjectState, StoredObject } from '../db/objects.ts'
import type { Context } from '../media/context.ts'
import { findBytes, type OpeningParts } from '../media/download.ts'
import { isMarkedLost } from '../media/lost.ts'

export interface SourceParts extends OpeningParts {
  readonly datastores: OpeningParts['datastores'] & Pick<Datastores, 'localFile' | 'wholeFile'>
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
  stored: StoredObject & Partial<ObjectState>,
  decode: (path: string) => Promise<Result>,
): Promise<Result> {
  await using source = await sourceOf(parts, ctx, stored)
  try {
    return await decode(source.path)
  } catch (error) {
    if (await isThere(source.path)) throw error
  }
  return await decodeStored(parts, ctx, stored, decode)
}

/** What is there is not opened: that takes two ways to another thread and back more than a look. */
async function sourceOf(parts: SourceParts, ctx: Pick<Context, 'log'>, stored: StoredObject & Partial<ObjectState>) {
  const path = isMarkedLost(stored) ? undefined : await parts.datastores.wholeFile(stored)
  if (path !== undefined) return { path, async [Symbol.asyncDispose]() {} }
  // Opened for what opening finds out: a lost object is the server's trouble, not the picture's.
  const { object, opened } = await findBytes(parts, ctx, stored)
  await using _ = opened
  return await parts.datastores.localFile(object, opened)
}

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )
