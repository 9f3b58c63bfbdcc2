import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { Log } from '../lib/log.ts'

/** Programs of the machine that some types of files are decoded with, and `prlimit`, which holds them to their limits. */
export type ProgramName = 'ffmpeg' | 'ffprobe' | 'pdftoppm' | 'heif-dec' | 'djxl' | 'prlimit'

export interface Program {
  readonly path: string
  /** What it says of itself, as `5.1.9`. */
  readonly version: string
}

/** Those that were found. Plain data: it travels to the workers. */
export type Programs = Readonly<Partial<Record<ProgramName, Program>>>

interface Kind {
  /** What it may be called, the best first. */
  readonly names: readonly string[]
  /** The argument that has it print its version. */
  readonly versionFlag: string
  /** The names in `thumbnails.types` of which nothing can be made without it. */
  readonly types: readonly string[]
}

const movies = ['video/mp4', 'video/x-m4v', 'video/webm', 'video/quicktime', 'video/ogg', 'video/3gpp']
const sounds = ['audio/mpeg', 'audio/ogg', 'audio/opus', 'audio/wav', 'audio/flac', 'audio/mp4', 'audio/x-m4a']
const pages = ['application/pdf']
const heif = ['image/heic', 'image/heif']
const jxl = ['image/jxl']

const kinds: Readonly<Record<ProgramName, Kind>> = {
  ffmpeg: { names: ['ffmpeg'], versionFlag: '-version', types: [...movies, ...sounds] },
  ffprobe: { names: ['ffprobe'], versionFlag: '-version', types: [...movies, ...sounds] },
  pdftoppm: { names: ['pdftoppm'], versionFlag: '-v', types: pages },
  // Its name before libheif 1.18.
  'heif-dec': { names: ['heif-dec', 'heif-convert'], versionFlag: '--version', types: heif },
  djxl: { names: ['djxl'], versionFlag: '--version', types: jxl },
  prlimit: { names: ['prlimit'], versionFlag: '--version', types: [...movies, ...sounds, ...pages, ...heif, ...jxl] },
}

/** A machine under load needs seconds to start a program that it has not started for a while. */
const versionTimeoutMs = 15_000

/**
 * Looks for the programs in the folders of `path` (as in `PATH`), and has each say its version: one that does not start, for
 * want of a library, counts as missing. Rejects when `signal` aborts; else never.
 */
export async function findPrograms(path: string, signal: AbortSignal): Promise<Programs> {
  const folders = path.split(delimiter).filter((folder) => folder !== '')
  const found = await Promise.all(
    names().map(async (name) => [name, await find(kinds[name], folders, signal)] as const),
  )
  return Object.fromEntries(found.filter(([, program]) => program !== undefined))
}

/** A search that goes on beside the start of the server. Disposing ends it. */
export interface ProgramSearch extends Disposable {
  /** Never rejects; a search that was ended finds nothing. */
  readonly found: Promise<Programs>
}

/** Looks for programs in the folders of `path`, and tells the log what was found and what is missing for the types enabled. */
export function lookForPrograms(path: string, enabled: readonly string[], log: Log): ProgramSearch {
  const stop = new AbortController()
  const found = findPrograms(path, stop.signal).then(
    (programs) => {
      reportPrograms(log, programs, enabled)
      return programs
    },
    () => ({}),
  )
  return { found, [Symbol.dispose]: () => stop.abort() }
}

/** One line of what was found, and one for each program that is missing, with the enabled types that are off without it. */
export function reportPrograms(log: Log, programs: Programs, enabled: readonly string[]): void {
  const found = Object.values(programs).map(({ path, version }) => `${path} (${version})`)
  if (found.length > 0) log.info({ programs: found }, 'programs that help to make thumbnails')
  for (const name of names()) {
    const off = kinds[name].types.filter((type) => enabled.includes(type))
    if (programs[name] || off.length === 0) continue
    log.warn({ program: name }, `the program ${name} is not installed: no thumbnails of ${off.join(', ')}`)
  }
}

function names(): readonly ProgramName[] {
  return Object.keys(kinds) as ProgramName[]
}

async function find(kind: Kind, folders: readonly string[], signal: AbortSignal): Promise<Program | undefined> {
  for (const candidate of kind.names.flatMap((name) => folders.map((folder) => join(folder, name)))) {
    if (!(await isExecutable(candidate))) continue
    const version = await versionOf(candidate, kind.versionFlag, signal)
    if (version !== undefined) return { path: candidate, version }
  }
  return undefined
}

async function isExecutable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** The first number in what it prints. Some of these programs call it a failure to be asked. */
function versionOf(program: string, flag: string, signal: AbortSignal): Promise<string | undefined> {
  const options = { env: {}, signal, timeout: versionTimeoutMs, killSignal: 'SIGKILL' } as const
  return new Promise((resolve, reject) => {
    execFile(program, [flag], options, (error, stdout, stderr) => {
      if (signal.aborted) reject(signal.reason)
      // A library is missing, says the loader, and its version is not the program's.
      else if (error?.code === 127) resolve(undefined)
      else resolve(/\d+(\.\d+)+/.exec(`${stdout}\n${stderr}`)?.[0])
    })
  })
}
