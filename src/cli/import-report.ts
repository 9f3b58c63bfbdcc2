import { createWriteStream, openSync, type WriteStream } from 'node:fs'
import { once } from 'node:events'
import type { ImportProblem } from '../db/import-problems.ts'
import { importedIn, type Outcome, problemsBy, type Tally } from '../imports/tally.ts'
import { ConfigError, messagesOf } from '../lib/errors.ts'
import { count } from './amounts.ts'
import { summaryOf } from './tally-report.ts'

const WORDS: Readonly<Record<Outcome, string>> = {
  adopted: 'imported where they are, by a link or in their bucket',
  copied: 'imported by a copy',
  shared: 'imported with content that was here already',
  known: 'here already',
  found: 'would be imported',
  verified: 'here, whole, and as they are there',
  pending: 'passed over: reserved, never uploaded',
  preview: 'passed over: pictures of URL previews',
  ours: 'passed over: of another homeserver of ours, which brings its own',
  invalid: 'passed over: nobody could ask for them by their names',
  missing: 'missing: their files are nowhere',
  damaged: 'damaged: their files are not what the records say',
  unreadable: 'unreadable',
  other_content: 'here with other content, which was kept',
  deleted: 'deleted here, and left so',
  missing_there: 'not here, and missing there as well',
  not_imported: 'not here yet',
  differs: 'here, but less protected than there',
}

/** What an import came to, in lines for people. */
export const importSummary = (tally: Tally): string[] => summaryOf(tally, WORDS)

/** The same for the last line of the log. */
export const importFields = (tally: Tally) => ({
  records: tally.rows,
  imported: importedIn(tally),
  ...problemsBy(tally),
})

function openList(file: string): number {
  try {
    return openSync(file, 'w')
  } catch (cause) {
    throw new ConfigError([`the list ${file} cannot be written: ${messagesOf(cause).join(': ')}`], { cause })
  }
}

/** More than these are in the file only. */
const SHOWN = 50

/** Lists what could not be imported: the first ones on the terminal, all of them in a file, if there is one. */
export class ProblemList implements AsyncDisposable {
  readonly #file: WriteStream | undefined
  readonly #print: (line: string) => void
  #listed = 0

  /** @throws {ConfigError} where the file cannot be written: an import of a day is not to find that out at its end */
  constructor(file: string | undefined, print: (line: string) => void) {
    this.#file = file === undefined ? undefined : createWriteStream(file, { fd: openList(file) })
    // Told when it is closed.
    this.#file?.on('error', () => {})
    this.#print = print
  }

  add({ origin, mediaId, problem, details }: ImportProblem): void {
    const text = [`mxc://${origin}/${mediaId}`, problem, ...(details === '' ? [] : [details])].join('  ')
    const line = text.replaceAll(/\p{Cc}/gu, '\uFFFD')
    this.#file?.write(`${line}\n`)
    if (this.#listed++ < SHOWN) this.#print(line)
  }

  /** Says how many were not shown. */
  end(howToSeeAll: string): void {
    if (this.#listed > SHOWN)
      this.#print(`and ${count(this.#listed - SHOWN)} more${this.#file ? '' : `: ${howToSeeAll}`}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#file) return
    if (this.#file.errored) throw this.#file.errored
    this.#file.end()
    await once(this.#file, 'close')
  }
}
