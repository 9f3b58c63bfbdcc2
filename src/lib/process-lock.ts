import { DatabaseSync } from 'node:sqlite'

/**
 * A lock on the file `path`, which is made for it: held until it is disposed or this process ends in whatever way, for then the operating
 * system drops it. Undefined while somebody else holds it. The file stays; whoever removes it does so while holding the lock.
 */
export function lockFile(path: string): Disposable | undefined {
  // SQLite locks files in the same way on every system; the file itself stays empty.
  const lock = new DatabaseSync(path)
  try {
    lock.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined
    throw error
  }
  return { [Symbol.dispose]: () => lock.close() }
}

/** Source: https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5
