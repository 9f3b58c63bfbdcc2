/** A small file system of a test's own, in memory, that can be filled and made read-only. Needs the service `mount`. */
import { statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProgram } from './processes.ts'
import { temporaryFolder } from './folder.ts'

export interface SmallDisk extends AsyncDisposable {
  readonly path: string
  /** Takes all the room but `left` bytes. Called again, it takes or gives what has changed. */
  readonly fill: (left?: number) => Promise<void>
  /** From now on it is so many bytes large. */
  readonly resize: (bytes: number) => Promise<void>
  /** From now on nothing can be written, or everything again. */
  readonly setReadOnly: (readOnly: boolean) => Promise<void>
}

const PAGE = 4096

export async function startSmallDisk(bytes: number): Promise<SmallDisk> {
  await using cleanup = new AsyncDisposableStack()
  const { path } = cleanup.use(await temporaryFolder())
  await runProgram({ command: ['mount', '-t', 'tmpfs', '-o', `size=${bytes},mode=0777`, 'cellarium-test', path] })
  // Lazily: a server that a failed test leaves may have files open.
  cleanup.defer(async () => void (await runProgram({ command: ['umount', '-l', path] })))
  const owned = cleanup.move()
  const ballast = join(path, 'ballast')
  return {
    path,
    async fill(left = 0) {
      await writeFile(ballast, '')
      const { bavail, bsize } = await statfs(path)
      const wanted = bavail * bsize - left
      await writeFile(ballast, Buffer.alloc(Math.max(0, Math.floor(wanted / PAGE) * PAGE)))
    },
    async resize(to) {
      await runProgram({ command: ['mount', '-o', `remount,size=${to}`, path] })
    },
    async setReadOnly(readOnly) {
      await runProgram({ command: ['mount', '-o', `remount,${readOnly ? 'ro' : 'rw'}`, path] })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
