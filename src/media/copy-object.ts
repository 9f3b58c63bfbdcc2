import { createHash } from 'node:crypto'
import { type Datastore, type ObjectDescription, ObjectMissing, type OpenObject } from '../datastores/datastore.ts'
import type { StoredObject } from '../db/objects.ts'

/** The object cannot be moved: its bytes are not what its hash says. The datastores are fine. */
export class ObjectDamaged extends Error {
  override readonly name = 'ObjectDamaged'
}

/**
 * Copies an object into another datastore, proves the copy by reading it back, and gives its location. What was read is
 * hashed on its way; bytes that are not the object's are not put at all.
 *
 * @throws {ObjectMissing} it is not in the source
 * @throws {ObjectDamaged} the source has other bytes than its hash says, or the copy cannot be read back
 */
export async function copyProven(
  object: StoredObject & ObjectDescription,
  from: Datastore,
  to: Datastore,
  signal: AbortSignal,
): Promise<string> {
  await using staged = await stageFrom(object, from, to, signal)
  if (staged.sha256 !== object.sha256) {
    throw new ObjectDamaged(`its bytes have the SHA-256 ${staged.sha256}: they were damaged`)
  }
  const location = await to.put(staged, { contentType: object.contentType })
  await using undo = new AsyncDisposableStack()
  undo.defer(() => to.delete(location))
  await using copy = await to.open(location)
  const sha256 = await hashOf(copy, signal)
  if (sha256 !== object.sha256) throw new ObjectDamaged(`its copy in ${to.id} read back has the SHA-256 ${sha256}`)
  undo.move()
  return location
}

async function stageFrom(object: StoredObject, from: Datastore, to: Datastore, signal: AbortSignal) {
  await using opened = await from.open(object.location)
  if (opened.size !== object.size) {
    throw new ObjectDamaged(`it has ${opened.size} bytes, its record says ${object.size}`)
  }
  return await to.stage(bytesOf(opened, signal), { maxBytes: 0, expectedBytes: object.size })
}

async function hashOf(opened: OpenObject, signal: AbortSignal): Promise<string> {
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
