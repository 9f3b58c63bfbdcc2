import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Makes a folder's entries durable: what was created in it or renamed into it before the call survives a power cut. */
export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r')
  await folder.sync()
}

/** Makes a folder with its parents, where they are missing. Those it made survive a power cut. */
export async function makeLastingFolder(path: string, mode: number): Promise<void> {
  const firstMade = await mkdir(path, { recursive: true, mode })
  if (firstMade !== undefined) await syncParents(path, dirname(firstMade))
}

/** Syncs every folder above `path`, up to `top`. */
export async function syncParents(path: string, top: string): Promise<void> {
  for (let at = path; at !== top && at !== dirname(at); at = dirname(at)) await syncFolder(dirname(at))
}
