import { constants } from 'node:fs'
import { type FileHandle, link, open, stat } from 'node:fs/promises'

/** What means that this file cannot be linked there: another disk or mount, no such thing there, not ours to link, too many links. */
const NOT_HERE = new Set(['EXDEV', 'EPERM', 'EACCES', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ELOOP'])

interface LinkPlace {
  readonly to: string
  /** A folder whose owner has to be able to read the file. */
  readonly readersOf: string
  /** In ms since 1970. */
  readonly now: number
}

/** Systems write what waits in memory within a minute, whether they are asked to or not. */
const WRITTEN_AFTER_MS = 3600 * 1000

/**
 * Gives a file another name, and has its bytes on the disk. False where that cannot be done, also where the owner of the datastore,
 * for whom an administrator may be doing this, could not read it.
 *
 * @throws what the disk says when it cannot be used, and ENOENT where there is no such file
 */
export async function linkFile(path: string, { to, readersOf, now }: LinkPlace): Promise<boolean> {
  try {
    // No symbolic link: what it points at could be exchanged.
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    if (!(await isReadableBy(file, readersOf))) return false
    await link(path, to)
    // Who wrote it may not have waited for the disk. Asking for what is there long since costs an empty write each time.
    const { mtimeMs } = await file.stat()
    if (mtimeMs > now - WRITTEN_AFTER_MS) await file.datasync()
    return true
  } catch (error) {
    if (NOT_HERE.has((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}

async function isReadableBy(file: FileHandle, folder: string): Promise<boolean> {
  if (process.getuid?.() !== 0) return true
  const [{ uid, gid, mode }, owner] = await Promise.all([file.stat(), stat(folder)])
  if (owner.uid === 0 || (mode & 0o004) !== 0) return true
  return uid === owner.uid ? (mode & 0o400) !== 0 : gid === owner.gid && (mode & 0o040) !== 0
}
