import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { folderPlace } from '../../src/archives/folder.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startProgram } from '../support/processes.ts'

const LOCK = '.cellarium-export.lock'

describe('A folder for an archive', () => {
  test('is one export’s at a time, whatever process it is in; the next one goes on with what is there', async () => {
    await using folder = await temporaryFolder()
    const busy = `another export writes to ${folder.path} at the moment`
    {
      using place = await folderPlace(folder.path, 'example.org', 1000)
      expect(place.createdAt).toBe(1000)
      await expect(folderPlace(folder.path, 'example.org', 2000)).rejects.toThrow(busy)
      expect(await lockElsewhere(join(folder.path, LOCK))).toBe('held')
    }
    expect(await readdir(folder.path)).not.toContain(LOCK)
    using next = await folderPlace(folder.path, 'example.org', 2000)
    expect(next.createdAt).toBe(1000)
  })

  test('is free again when its export died, and when it was refused', async () => {
    await using folder = await temporaryFolder()
    // A process that ends without having let go of it.
    expect(await lockElsewhere(join(folder.path, LOCK))).toBe('free')
    expect(await readdir(folder.path)).toContain(LOCK)
    {
      using place = await folderPlace(folder.path, 'example.org', 1000)
      expect(place.createdAt).toBe(1000)
    }
    await expect(folderPlace(folder.path, 'other.example', 1000)).rejects.toThrow('has a part of an archive of')
    using again = await folderPlace(folder.path, 'example.org', 2000)
    expect(again.createdAt).toBe(1000)
  })
})

/** Takes the lock in another process, which ends at once: `held` or `free` is how it found it. */
async function lockElsewhere(path: string): Promise<string> {
  const module = new URL('../../src/lib/process-lock.ts', import.meta.url).href
  const script = `
    import { lockFile } from ${JSON.stringify(module)}
    console.log(lockFile(${JSON.stringify(path)}) ? 'free' : 'held')
    process.kill(process.pid, 'SIGKILL')`
  const command = [process.execPath, '--input-type=module', '--eval', script]
  const program = await startProgram({ command })
  await program.ended
  return program.lines.join()
}
