/** Files that come in while others read them, under a test's command. */
import { readdir, readlink } from 'node:fs/promises'
import type { GrowingFile } from '../../src/datastores/growing-file.ts'

/** A source that gives what the test sends, and waits where the test does. */
export interface HandFed extends AsyncIterable<Uint8Array> {
  /** Resolves when the next bytes are asked for. */
  send(bytes: Uint8Array): Promise<void>
  end(): void
  break(error: Error): void
}

export function handFed(): HandFed {
  const waiting: (Uint8Array | Error | 'end')[] = []
  let taken = Promise.withResolvers<void>()
  let fed = Promise.withResolvers<void>()
  const feed = (one: Uint8Array | Error | 'end') => {
    waiting.push(one)
    fed.resolve()
  }
  return {
    send: (bytes) => {
      feed(bytes)
      return taken.promise
    },
    end: () => feed('end'),
    break: feed,
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const next = waiting.shift()
        if (next === 'end') return
        if (next instanceof Error) throw next
        // As what comes from a connection: gone once the next one is asked for.
        const chunk = next && Buffer.from(next)
        if (chunk) yield chunk
        chunk?.fill(0)
        if (waiting.length > 0) continue
        taken.resolve()
        taken = Promise.withResolvers()
        fed = Promise.withResolvers()
        await fed.promise
      }
    },
  }
}

/** Reads on until `bytes` bytes are there, and gives them: whoever wants more goes on with the same chunks. */
export async function readSome(chunks: AsyncIterator<Uint8Array>, bytes: number): Promise<Buffer> {
  const copies: Buffer[] = []
  for (let left = bytes; left > 0;) {
    const { done, value } = await chunks.next()
    if (done) break
    copies.push(Buffer.from(value))
    left -= value.length
  }
  return Buffer.concat(copies)
}

/** A reader of a file of which something can be read by now. */
export async function joined(growing: GrowingFile) {
  const reader = await growing.join()
  if (!reader) throw new Error('the file was finished before anybody read it')
  return reader
}

/** How many files of this process are open below temporary folders of tests. */
export async function openTestFiles(): Promise<number> {
  const descriptors = await readdir('/proc/self/fd')
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return targets.filter((target) => target.includes('/cellarium-test-')).length
}
