import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ByteSource } from './bytes.ts'

const MISSING = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'])

/** Files below a homeserver's media folder, in its own layout. Symbolic links are followed, as the homeserver does; such files are copied. */
export function folderBytes(folder: string): ByteSource {
  return {
    name: `the folder ${folder}`,
    isLocal: true,
    async find({ path }) {
      if (path === undefined) return undefined
      const file = join(folder, path)
      const found = await stat(file).catch((error: unknown) => {
        if (!MISSING.has((error as NodeJS.ErrnoException).code ?? '')) throw error
      })
      if (!found?.isFile()) return undefined
      return {
        size: found.size,
        foreign: { path: file },
        read: () => createReadStream(file, { highWaterMark: 256 * 1024 }),
        async [Symbol.asyncDispose]() {},
      }
    },
  }
}
