import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** A temporary folder that is gone with its contents when it is disposed of. */
export interface Folder extends AsyncDisposable {
  readonly path: string
  /** Writes a file below it; gives its full path. */
  write(name: string, text: string): Promise<string>
}

/** An empty folder, or one with these files by name; `below` the system's temporary folder. */
export async function temporaryFolder(files: Readonly<Record<string, string>> = {}, below = tmpdir()): Promise<Folder> {
  const path = await mkdtemp(join(below, 'cellarium-test-'))
  const write = async (name: string, text: string) => {
    const file = join(path, name)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
    return file
  }
  for (const [name, text] of Object.entries(files)) await write(name, text)
  return { path, write, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) }
}
