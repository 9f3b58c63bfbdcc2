import { createHash } from 'node:crypto'
import { type Datastore, ObjectMissing, type OpenObject } from '../datastores/datastore.ts'
import type { StagedFile } from '../datastores/staging.ts'
import type { StoredObject } from '../db/objects.ts'
import type { Log } from '../lib/log.ts'
import { UNKNOWN_TYPE } from '../lib/media-type.ts'

/** The object cannot be moved: its bytes are not what its hash says. The datastores are fine. */
export class ObjectDamaged extends Error {
  override readonly name = 'ObjectDamaged'
}

/** An object to be copied, with its media type for datastores that keep one. */
export interface Copied extends StoredObject {
  readonly contentType: string | null
}

export interface CopyParts {
  readonly from: Datastore
  readonly to: Datastore
  readonly log: Log
}

/**
 * Copies an object into another datastore, proves the copy by reading it back, and gives its location. What was read is
 * hashed on its way; bytes that are not the object's are not put at all.
 *
 * @throws {ObjectMissing} it is not in the source
 * @throws {ObjectDamaged} the source has other bytes than its hash says, or the copy has when it is read back
 */
export async function copyProven(parts: CopyParts, object: Copied, signal: AbortSignal): Promise<string> {
  const { to } = parts
  await using staged = await stageFrom(parts, object, signal)
  if (staged.sha256 !== object.sha256) {
    throw new ObjectDamaged(`its bytes have the SHA-256 ${staged.sha256}: they were damaged`)
  }
  const location = await to.put(staged, { contentType: object.contentType ?? UNKNOWN_TYPE })
  await using undo = new AsyncDisposableStack()
  undo.defer(() => discard(parts, location))
  const sha256 = await hashOf(to, location, signal)
  if (sha256 !== object.sha256) throw new ObjectDamaged(`its copy in ${to.id} read back has the SHA-256 ${sha256}`)
  undo.move()
  return location
}

/** Deletes a copy that nothing names. What cannot be deleted now, a sweep finds. */
export async function discard({ to, log }: Pick<CopyParts, 'to' | 'log'>, location: string): Promise<void> {
  try {
    await to.delete(location)
  } catch (error) {
    log.warn({ err: error, datastore: to.id, location }, 'could not delete a copy that nothing names')
  }
}

async function stageFrom({ from, to }: CopyParts, object: Copied, signal: AbortSignal): Promise<StagedFile> {
  await using opened = await from.open(object.location)
  if (opened.size !== object.size) {
    throw new ObjectDamaged(`it has ${opened.size} bytes, its record says ${object.size}`)
  }
  return await to.stage(bytesOf(opened, signal), { maxBytes: 0, expectedBytes: object.size })
}

async function hashOf(datastore: Datastore, location: string, signal: AbortSignal): Promise<string> {
  await using opened = await datastore.open(location)
  const hash = createHash('sha256')
  for await (const chunk of bytesOf(opened, signal)) hash.update(chunk)
  return hash.digest('hex')
}

/** All bytes, until the signal aborts. */
async function* bytesOf(opened: OpenObject, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (opened.size === 0) return
  for await (const chunk of opened.read({ start: 0, end: opened.size - 1 })) {
    signal.throwIfAborted()
    yield chunk
  }
}

/** Whether an error is about one object alone: others may still be moved. */
export function isOfObject(error: unknown): boolean {
  return error instanceof ObjectMissing || error instanceof ObjectDamaged
}
