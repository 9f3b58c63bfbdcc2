/** Running `cellarium import …` beside a server, and looking at what came of it. */
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { openDatabase } from '../../src/db/connect.ts'
import type { Database } from '../../src/db/connect.ts'
import { recordingLog } from './log.ts'
import type { Place } from './place.ts'
import { type Program, startProgram } from './processes.ts'

/** The program of this name. */
export const commandFile = (name: string): string => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))

export interface CommandOptions {
  readonly folder: string
  readonly environment?: NodeJS.ProcessEnv
}

/** Starts `cellarium` or one of MMR's names for it, in a folder of its own, without the developer's settings. */
export async function startCommand(name: string, args: readonly string[], options: CommandOptions): Promise<Program> {
  const environment = { PATH: process.env['PATH'], HOME: options.folder, ...options.environment }
  return await startProgram({
    command: [process.execPath, commandFile(name), ...args],
    folder: options.folder,
    environment,
  })
}

export interface Ran {
  readonly code: number | null
  readonly text: string
}

/** Runs it to its end. */
export async function runCommand(name: string, args: readonly string[], options: CommandOptions): Promise<Ran> {
  await using program = await startCommand(name, args, options)
  const { code } = await program.ended
  return { code, text: program.lines.join('\n') }
}

/** `cellarium import KIND` into the server of `place`. */
export const importInto = (place: Place, kind: string, ...args: readonly string[]): Promise<Ran> =>
  runCommand('cellarium', ['import', kind, '-c', place.server.configFile, ...args], { folder: place.server.folder })

/** The database of a server that has SQLite. */
export const databaseOf = (place: Place): Promise<Database> =>
  openDatabase(
    {
      sqlite: join(place.server.folder, 'data', 'cellarium.sqlite'),
      postgres: '',
      pool: { maxConnections: 2, maxIdleConnections: 1 },
    },
    'tool',
    recordingLog().log,
  )

/** How many of each: the number before the word in the summary. */
export function countsIn(text: string): Record<string, number> {
  const lines = [...text.matchAll(/^ {2}([\d,]+) (.+)$/gm)]
  return Object.fromEntries(lines.map(([, number = '', words = '']) => [words, Number(number.replaceAll(',', ''))]))
}
