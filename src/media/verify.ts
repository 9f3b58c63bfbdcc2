import { createHash } from 'node:crypto'
import type { StoredObject } from '../db/objects.ts'
import { type Datastore, ObjectMissing } from '../datastores/datastore.ts'

/** What reading an object from its beginning to its end finds. */
export type Verified =
  | { readonly state: 'intact'; readonly bytes: number }
  | { readonly state: 'missing'; readonly bytes: number }
  /** `problem` completes "the object …". */
  | { readonly state: 'damaged'; readonly bytes: number; readonly problem: string }
  /** Reading it fails again and again, in a datastore that works otherwise: a bad block, a permission. */
  | { readonly state: 'unreadable'; readonly bytes: number; readonly problem: string }

/**
 * Reads an object and compares it with its record. What looks damaged is read twice, because a transfer may go wrong as well.
 * `bytes` is how many were read.
 *
 * @throws what the datastore says when it cannot be used
 */
export async function verify(datastore: Datastore, object: StoredObject, signal?: AbortSignal): Promise<Verified> {
  const first = await readIfPossible(datastore, object, signal)
  if (first.state === 'intact' || first.state === 'missing') return first
  const second = await readIfPossible(datastore, object, signal)
  return { ...second, bytes: first.bytes + second.bytes }
}

async function readIfPossible(datastore: Datastore, object: StoredObject, signal?: AbortSignal): Promise<Verified> {
  try {
    return await readOnce(datastore, object, signal)
  } catch (error) {
    signal?.throwIfAborted()
    await datastore.check()
    return { state: 'unreadable', bytes: 0, problem: `cannot be read: ${firstCause(error)}` }
  }
}

/** What the disk or the bucket itself said. */
function firstCause(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : firstCause(error.cause)
}

async function readOnce(datastore: Datastore, object: StoredObject, signal?: AbortSignal): Promise<Verified> {
  try {
    await using opened = await datastore.open(object.location)
    if (opened.size !== object.size) return { state: 'damaged', bytes: 0, problem: otherSize(opened.size, object.size) }
    const hash = createHash('sha256')
    if (opened.bytes) hash.update(opened.bytes)
    else if (opened.size > 0) {
      for await (const chunk of opened.read({ start: 0, end: opened.size - 1 })) {
        signal?.throwIfAborted()
        hash.update(chunk)
      }
    }
    const found = hash.digest('hex')
    if (found === object.sha256) return { state: 'intact', bytes: object.size }
    return { state: 'damaged', bytes: object.size, problem: `has other bytes: their SHA-256 is ${found}` }
  } catch (error) {
    if (error instanceof ObjectMissing) return { state: 'missing', bytes: 0 }
    throw error
  }
}

/** Completes "the object …". */
export function otherSize(found: number, recorded: number): string {
  return `has ${found} bytes, its record says ${recorded}`
}
