import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { makeLastingFolder, syncFolder } from '../lib/durable.ts'
import { Refused } from '../lib/errors.ts'

/** Whether a backup is to be one file: what ends in `.tar` is. */
export const isArchive = (target: string): boolean => target.endsWith('.tar')

/** A folder beside `near`, in the same file system, for as long as it is in use. Where `near` is to be may have to be made. */
export async function folderBeside(near: string): Promise<AsyncDisposable & { readonly path: string }> {
  await makeLastingFolder(dirname(resolve(near)), 0o700)
  const path = await mkdtemp(join(dirname(resolve(near)), '.cellarium-backup-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** Packs a backup's folder into one file, which is there once it is whole and synced. */
export async function pack(folder: string, archive: string): Promise<void> {
  const partial = `${archive}.partial`
  await tar(['--create', '--file', partial, '--directory', folder, '.'])
  {
    await using file = await open(partial, 'r+')
    await file.chmod(0o600)
    await file.sync()
  }
  await rename(partial, archive)
  await syncFolder(dirname(resolve(archive)))
}

export async function unpack(archive: string, folder: string): Promise<void> {
  await tar(['--extract', '--no-same-owner', '--file', archive, '--directory', folder])
}

async function tar(args: readonly string[]): Promise<void> {
  const child = spawn('tar', args, { stdio: 'inherit' })
  const [code, signal] = await once(child, 'exit').catch((cause: unknown) => {
    throw new Refused('bad_request', 'tar, which packs backups into one file, cannot be started', { cause })
  })
  if (code !== 0) throw new Refused('bad_request', `tar ended with ${String(code ?? signal)}: ${args.join(' ')}`)
}
