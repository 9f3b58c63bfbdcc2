import { constants } from 'node:fs'
import { copyFile, link, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeLastingFolder } from '../../lib/durable.ts'
import { PARTIAL } from './layout.ts'

/** `kept`: it was there already, in its size. */
export type Kept = 'kept' | 'linked' | 'copied' | 'missing'

const FOLDER_MODE = 0o750

/**
 * Makes `to` the same file as `from`, which never changes: a hard link where both are in one file system (and `links` are wanted),
 * else a copy that is synced. `size` in bytes tells whether it is there already; one of another size is replaced.
 */
export async function keepFile(from: string, to: string, size: number, links: boolean): Promise<Kept> {
  if ((await sizeOf(to)) === size) return 'kept'
  await makeLastingFolder(dirname(to), FOLDER_MODE)
  await rm(to + PARTIAL, { force: true })
  try {
    const kept = links && (await linked(from, to + PARTIAL)) ? 'linked' : await copied(from, to + PARTIAL)
    await rename(to + PARTIAL, to)
    // Renaming one name of a file to another of its names leaves both.
    await rm(to + PARTIAL, { force: true })
    return kept
  } catch (error) {
    if (!isMissing(error)) throw error
    return 'missing'
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (isMissing(error)) throw error
    // Another file system, one without links, or too many of them.
    return false
  }
}

async function copied(from: string, to: string): Promise<Kept> {
  await copyFile(from, to, constants.COPYFILE_FICLONE)
  await using file = await open(to, 'r+')
  await file.sync()
  return 'copied'
}

async function sizeOf(path: string): Promise<number | undefined> {
  const found = await stat(path).catch((error: unknown) => {
    if (!isMissing(error)) throw error
  })
  return found?.isFile() ? found.size : undefined
}

export function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}
