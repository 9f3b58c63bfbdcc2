/** What benchmarks of imports share: a server without media, and what they print. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Course } from '../test/support/many-media.ts'

/** Writes the configuration of a server with nothing in its SQLite below `folder`, and gives its path. */
export async function emptyServer(folder: string): Promise<string> {
  const configFile = join(folder, 'cellarium.yaml')
  await mkdir(join(folder, 'data'))
  await writeFile(join(folder, 'data', 'cellarium.sqlite'), '')
  await writeFile(
    configFile,
    stringify({
      homeservers: [{ name: 'example.org', csApi: 'http://127.0.0.1:9' }],
      repo: { dataPath: join(folder, 'data'), logDirectory: '-' },
      datastores: [{ type: 'file', id: 'main', forKinds: ['all'], opts: { path: join(folder, 'media') } }],
    }),
  )
  return configFile
}

/** Prints how it ended, how many rows a second there were, and the memory at each tenth of the time. */
export function tellCourse(which: string, rows: number, { code, text, seconds, memory }: Course): void {
  const tenths = Array.from({ length: 10 }, (_, tenth) => {
    const from = Math.floor((tenth * memory.length) / 10)
    return Math.round(
      Math.max(...memory.slice(from, Math.max(from + 1, Math.floor(((tenth + 1) * memory.length) / 10)))),
    )
  })
  console.log(text.split('\n').slice(-3).join('\n'))
  console.log(`${which}: status ${code}, ${seconds.toFixed(1)} s, ${Math.round(rows / seconds)} rows/s`)
  console.log(`  MiB at the most in each tenth: ${tenths.join(' ')}`)
}
