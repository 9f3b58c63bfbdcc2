import type { TransferProgress } from '../media/transfer.ts'
import { bytes, count } from './amounts.ts'
import { ProgressLine, type ProgressOutput, speedometer } from './progress-line.ts'

export type { ProgressOutput } from './progress-line.ts'

/** Shows how far a transfer is: one line that changes on a terminal, now and then a new line elsewhere. */
export class TransferDisplay implements Disposable {
  readonly #line: ProgressLine
  readonly #speed: (movedBytes: number) => number

  /** `now`: ms that only go up. */
  constructor(output: ProgressOutput, now: () => number) {
    this.#line = new ProgressLine(output, now)
    this.#speed = speedometer(now)
  }

  /** `isDone`: every object has had its turn, whatever the count at the beginning was, so that this is the last word. */
  show(progress: TransferProgress, isDone = false): void {
    const share = isDone ? 1 : shareOf(progress)
    this.#line.show(share, describe(progress, share, this.#speed(progress.movedBytes)), isDone)
  }

  /** Ends the line that changes. */
  [Symbol.dispose](): void {
    this.#line[Symbol.dispose]()
  }
}

function shareOf({ objects, moved, skipped, failed }: TransferProgress): number {
  return objects <= 0 ? 0 : Math.min(1, (moved + skipped + failed) / objects)
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
