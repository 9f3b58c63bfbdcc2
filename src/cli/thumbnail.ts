import { constants } from 'node:fs'
import { access, copyFile, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { loadConfig } from '../config/load.ts'
import type { MainConfig } from '../config/schema.ts'
import { messagesOf, Refused } from '../lib/errors.ts'
import type { Generated, ThumbnailJob } from '../thumbnails/job.ts'
import { openThumbnailPool } from '../thumbnails/pool.ts'
import { findPrograms } from '../thumbnails/programs.ts'
import type { Method } from '../thumbnails/sizes.ts'
import { animationWanted } from '../thumbnails/variants.ts'
import { configSource, reportUnusable, type SourceOptions } from './config-source.ts'
import { onInterrupt, openErrorLog } from './tools.ts'

export interface Wanted {
  readonly input: string
  /** Undefined: `thumbnail.png` or the like, in the current folder. */
  readonly output: string | undefined
  readonly replace: boolean
  readonly width: number
  readonly height: number
  readonly method: Method
  readonly animated: boolean
}

interface Flags extends SourceOptions, Omit<Wanted, 'input' | 'output' | 'replace'> {
  readonly output?: string
  readonly force?: true
}

const FAILED = 1
/** As in MMR's tool. */
const DEFAULT_SIDE = 512
const LONGEST_SIDE = 16_384
const TIMEOUT_MS = 120_000

/** `cellarium thumbnail FILE`: what the server would make of a file, by the same decoders under the same limits. */
export function thumbnailCommand(): Command {
  return new Command('thumbnail')
    .description('make a thumbnail of a file, as the server does: to try types, limits and sizes')
    .argument('<file>', 'what to make it of')
    .option('-o, --output <file>', 'where to (default: thumbnail.png or the like, in the current folder)')
    .option('-w, --width <pixels>', 'most pixels from left to right', pixels, DEFAULT_SIDE)
    .option('-H, --height <pixels>', 'most pixels from top to bottom', pixels, DEFAULT_SIDE)
    .addOption(methodOption('-m, --method <method>'))
    .option('-a, --animated', 'let it move, if the file does', false)
    .option('--force', 'replace the output if there is one')
    .option('--config <path>', 'file or folder (else REPO_CONFIG, else the defaults)')
    .option('--data <path>', "folder of the server's own files (else CELLARIUM_DATA)")
    .action(async (input: string, { output, force, ...flags }: Flags) => {
      await makeThumbnail(flags, { ...flags, input, output, replace: force === true })
    })
}

export function methodOption(flags: string): Option {
  return new Option(flags, 'scale fits the picture inside the size, crop fills it')
    .choices(['scale', 'crop'])
    .default('scale')
}

/** The value of an option that is a side in pixels. */
export function pixels(text: string): number {
  const side = Number(text)
  if (Number.isInteger(side) && side >= 1 && side <= LONGEST_SIDE) return side
  throw new InvalidArgumentError(`It is a whole number of pixels from 1 to ${LONGEST_SIDE}.`)
}

/** Makes the thumbnail and says what came of it. What cannot be done is told on the error output, with status 1. */
export async function makeThumbnail(source: SourceOptions, wanted: Wanted): Promise<void> {
  try {
    const { main } = await loadConfig(configSource(source, process.env))
    console.log(await make(main, wanted))
  } catch (error) {
    if (!(error instanceof Refused) && !isAboutFiles(error)) return reportUnusable(error)
    console.error(tell(error))
    process.exitCode = FAILED
  }
}

function tell(error: Error): string {
  if ('code' in error && error.code === 'EEXIST' && 'dest' in error) {
    return `${String(error.dest)} is there already; --force replaces it, --output writes elsewhere`
  }
  return messagesOf(error).join(': ')
}

const isAboutFiles = (error: unknown): error is Error => error instanceof Error && 'syscall' in error

async function make({ thumbnails }: MainConfig, wanted: Wanted): Promise<string> {
  const size = await bytesIn(wanted.input)
  await using cleanUp = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'cellarium-'))
  cleanUp.defer(() => rm(folder, { recursive: true, force: true }))
  const { maxSourceBytes, maxPixels, types, stillFrame } = thumbnails
  const { width, height, method } = wanted
  const animateAs = animationWanted(thumbnails, wanted.animated, size)
  const limits = { maxSourceBytes, maxPixels }
  const target = join(folder, 'thumbnail')
  const still = { source: wanted.input, target, width, height, method, limits, types, stillFrame }
  const generated = await generate(animateAs ? { ...still, animateAs } : still)
  const output = wanted.output ?? `thumbnail.${extensionOf(generated.contentType)}`
  const made = generated.kind === 'original' ? wanted.input : target
  await copyFile(made, output, wanted.replace ? 0 : constants.COPYFILE_EXCL)
  return await reportOf(output, generated)
}

/** Decoders run elsewhere, where it would show late that there is no file, or none that may be read. */
async function bytesIn(path: string): Promise<number> {
  const found = await stat(path)
  if (!found.isFile()) throw new Refused('not_thumbnailable', `Cannot make a thumbnail: ${path} is no file`)
  await access(path, constants.R_OK)
  return found.size
}

async function generate(job: ThumbnailJob): Promise<Generated> {
  await using cleanUp = new AsyncDisposableStack()
  const { log } = cleanUp.use(openErrorLog())
  using interrupted = onInterrupt()
  // Ended by Ctrl-C it finds nothing, and the pool ends by itself.
  const programs = findPrograms(process.env['PATH'] ?? '', interrupted.signal).catch(() => ({}))
  const pool = openThumbnailPool({ workers: 1, jobTimeoutMs: TIMEOUT_MS, queueLimit: 0, programs, log })
  cleanUp.defer(() => pool.close())
  return await pool.generate(job, interrupted.signal)
}

async function reportOf(output: string, { kind, contentType, width, height }: Generated): Promise<string> {
  const { size } = await stat(output)
  const whatItIs = kind === 'original' ? ' (the file itself: it is no larger than asked)' : ''
  return `${output}: ${contentType}, ${width} × ${height} pixels, ${size} bytes${whatItIs}`
}

function extensionOf(contentType: string): string {
  return contentType === 'image/jpeg' ? 'jpg' : contentType.slice('image/'.length)
}
