/** One log file a day, as MMR keeps them: `media_repo.log.YYYYMMDD0000` (UTC), the link `media_repo.log`, 14 days. */

import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, renameSync, symlinkSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'

import type { Clock } from './clock.ts'
import type { Output, OutputOptions } from './log-output.ts'
import { openOutput } from './log-output.ts'

const NAME = 'media_repo.log'
const DATED_NAME = /^media_repo\.log\.(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})$/
const DAY_MS = 24 * 60 * 60 * 1000
const KEPT_DAYS = 14

export interface DailyFilesParts {
  readonly clock: Clock
  /** Told of what does not work (a full disk, a link that cannot be made); logging goes on as far as it can. */
  readonly onProblem: (message: string, error: unknown) => void
  readonly output?: OutputOptions
}

/**
 * Opens today's file in `folder` (made if missing) and changes over to the next at UTC midnight. Several instances may share
 * the folder: whole lines are appended. Throws the system's error if the first file cannot be opened.
 */
export function openDailyFiles(folder: string, parts: DailyFilesParts): Output {
  return new DailyFiles(folder, parts)
}

class DailyFiles implements Output {
  readonly #folder: string
  readonly #parts: DailyFilesParts
  #current: { readonly output: Output; readonly descriptor: number }
  #until: number
  #closing: Promise<unknown> = Promise.resolve()

  constructor(folder: string, parts: DailyFilesParts) {
    this.#folder = folder
    this.#parts = parts
    const today = startOfDay(parts.clock.now())
    this.#current = this.#openDay(today)
    this.#until = today + DAY_MS
  }

  write(line: string): void {
    const now = this.#parts.clock.now()
    if (now >= this.#until) this.#changeOver(startOfDay(now))
    this.#current.output.write(line)
  }

  flushSync(): void {
    this.#current.output.flushSync()
  }

  async close(): Promise<void> {
    this.#retire(this.#current)
    await this.#closing
  }

  /** If the new day's file cannot be opened, the old one goes on until the next midnight: a line in the wrong file is kept. */
  #changeOver(today: number): void {
    this.#until = today + DAY_MS
    const previous = this.#current
    try {
      this.#current = this.#openDay(today)
      this.#retire(previous)
    } catch (error) {
      this.#parts.onProblem(`cannot open a new log file in "${this.#folder}", writing on in the old one`, error)
    }
  }

  #openDay(day: number): { output: Output; descriptor: number } {
    mkdirSync(this.#folder, { recursive: true })
    const name = `${NAME}.${stamp(day)}`
    const descriptor = openSync(join(this.#folder, name), 'a', 0o640)
    this.#try('cannot renew the link "media_repo.log"', () => this.#link(name))
    this.#try('cannot remove old log files', () => this.#removeOld(day))
    return { output: openOutput(descriptor, this.#parts.output), descriptor }
  }

  #retire({ output, descriptor }: { readonly output: Output; readonly descriptor: number }): void {
    const closed = output.close().then(() => closeSync(descriptor))
    this.#closing = Promise.all([this.#closing, closed])
  }

  /** By way of a rename, so that the link never is missing, whichever instance renews it last. */
  #link(name: string): void {
    const temporary = join(this.#folder, `.${NAME}.${randomBytes(6).toString('hex')}`)
    symlinkSync(name, temporary)
    try {
      renameSync(temporary, join(this.#folder, NAME))
    } catch (error) {
      unlinkSync(temporary)
      throw error
    }
  }

  #removeOld(today: number): void {
    for (const name of readdirSync(this.#folder)) {
      const day = dayOf(name)
      if (day !== undefined && day < today - KEPT_DAYS * DAY_MS) removeIfThere(join(this.#folder, name))
    }
  }

  #try(message: string, action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#parts.onProblem(`${message} in "${this.#folder}"`, error)
    }
  }
}

function startOfDay(ms: number): number {
  return ms - (ms % DAY_MS)
}

function stamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\D/g, '').slice(0, 12)
}

function dayOf(name: string): number | undefined {
  const match = DATED_NAME.exec(name)
  if (!match) return undefined
  const [, year, month, day, hour, minute] = match
  return Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute))
}

/** Another instance may have removed it first. */
function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}
