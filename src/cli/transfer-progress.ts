import type { TransferProgress } from '../media/transfer.ts'
import { bytes, count } from './amounts.ts'

const WIDTH = 30
const LINE_EVERY_MS = 10_000

/** Where progress is shown: a terminal, or what takes lines. */
export interface ProgressOutput {
  readonly isTTY: boolean
  readonly write: (text: string) => void
}

/** Shows how far a transfer is: one line that changes on a terminal, now and then a new line elsewhere. */
export class TransferDisplay implements Disposable {
  readonly #output: ProgressOutput
  readonly #now: () => number
  readonly #speed: (movedBytes: number) => number
  #shownAt = -Infinity
  #isOpen = false

  /** `now`: ms that only go up. */
  constructor(output: ProgressOutput, now: () => number) {
    this.#output = output
    this.#now = now
    this.#speed = speedometer(now)
  }

  /** `isDone`: every object has had its turn, whatever the count at the beginning was, so that this is the last word. */
  show(progress: TransferProgress, isDone = false): void {
    const share = isDone ? 1 : shareOf(progress)
    const text = describe(progress, share, this.#speed(progress.movedBytes))
    if (this.#output.isTTY) {
      this.#output.write(`\r${bar(share)} ${text}\u001b[K`)
      this.#isOpen = true
    } else if (isDone || this.#now() - this.#shownAt >= LINE_EVERY_MS) {
      this.#output.write(`${text}\n`)
      this.#shownAt = this.#now()
    }
  }

  /** Ends the line that changes. */
  [Symbol.dispose](): void {
    if (this.#isOpen) this.#output.write('\n')
    this.#isOpen = false
  }
}

function shareOf({ objects, moved, skipped, failed }: TransferProgress): number {
  return objects <= 0 ? 0 : Math.min(1, (moved + skipped + failed) / objects)
}

/** `[####----]`. */
export function bar(share: number): string {
  const filled = Math.round(share * WIDTH)
  return `[${'#'.repeat(filled)}${'-'.repeat(WIDTH - filled)}]`
}

function describe(progress: TransferProgress, share: number, perSecond: number): string {
  const { objects, moved, movedBytes, skipped, failed } = progress
  const parts = [
    `${Math.floor(share * 100)} %`,
    `${count(moved)} of ${count(objects)} objects`,
    bytes(movedBytes),
    ...(perSecond > 0 ? [`${bytes(perSecond)}/s`] : []),
    ...(skipped > 0 ? [`${count(skipped)} read since`] : []),
    ...(failed > 0 ? [`${count(failed)} failed`] : []),
  ]
  return parts.join(', ')
}

const WINDOW_MS = 10_000

/** Bytes a second over the last ten seconds or so. */
function speedometer(now: () => number): (movedBytes: number) => number {
  const seen: { readonly at: number; readonly bytes: number }[] = []
  return (movedBytes) => {
    const at = now()
    seen.push({ at, bytes: movedBytes })
    while (seen.length > 2 && at - (seen[0]?.at ?? at) > WINDOW_MS) seen.shift()
    const first = seen[0]
    if (!first || at <= first.at) return 0
    return Math.round(((movedBytes - first.bytes) / (at - first.at)) * 1000)
  }
}
