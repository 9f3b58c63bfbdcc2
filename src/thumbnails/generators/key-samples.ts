import type { Sound } from '../job.ts'
import { type Peak, Peaks } from './wave.ts'

/** As many as MMR gives. */
const COUNT = 768

/** Keeps of a sound of any length what its picture is drawn of, and what `info` tells of it. */
export class KeySamples {
  /** Of the only channel, or of what the left one and the right one have in common. */
  readonly mean = new Peaks()
  readonly #sides = { left: new Peaks(), right: new Peaks() }
  readonly #channels: 1 | 2
  #bytes = 0
  /** What was torn off the last piece. */
  #rest = Buffer.alloc(0)

  constructor(channels: 1 | 2) {
    this.#channels = channels
  }

  /** How many samples each channel has had. */
  get samples(): number {
    return Math.floor(this.#bytes / (2 * this.#channels))
  }

  /** Takes signed 16-bit samples, little-endian, one channel beside the other. */
  add(piece: Buffer): void {
    this.#bytes += piece.length
    if (this.#channels === 1) this.mean.add(piece)
    else this.#addBoth(piece)
  }

  /** The loudest samples of so many parts, left and right, which are the same where there is one channel; none of no sound. */
  pairs(): Sound['keySamples'] {
    const { left, right } = this.#channels === 1 ? { left: this.mean, right: this.mean } : this.#sides
    const others = right.columns(COUNT) ?? []
    return (left.columns(COUNT) ?? []).map((peak, index) => [loudest(peak), loudest(others[index] ?? peak)])
  }

  #addBoth(piece: Buffer): void {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    const whole = bytes.length - (bytes.length % 4)
    for (let at = 0; at < whole; at += 4) {
      const [left, right] = [bytes.readInt16LE(at), bytes.readInt16LE(at + 2)]
      this.#sides.left.addSample(left)
      this.#sides.right.addSample(right)
      this.mean.addSample(Math.trunc((left + right) / 2))
    }
    this.#rest = Buffer.from(bytes.subarray(whole))
  }
}

/** To four decimals: 16 bits have no more. */
function loudest({ highest, lowest }: Peak): number {
  return Math.round((highest > -lowest ? highest : lowest) * 10_000) / 10_000
}
