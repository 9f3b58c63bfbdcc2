import type { MainConfig } from '../../config/schema.ts'
import { Refused } from '../../lib/errors.ts'
import { ALLOWED, type Candidate, type Gate, type Verdict } from './gate.ts'
import type { KeptList } from './kept-list.ts'
import type { PdqList } from './pdq-list.ts'

/** What a picture looks like, as PDQ describes it. */
export interface Looks {
  /** 32 bytes. */
  readonly hash: Buffer
  /** How much there is to see in it, 0 to 100. */
  readonly quality: number
}

/** Decodes a picture in a process of its own. Refuses what is none, or is too large for `thumbnails`. */
export type LookAt = (path: string, homeserver: string, signal: AbortSignal) => Promise<Looks>

type PerceptualConfig = Omit<MainConfig['moderation']['perceptual'], 'lists'>

/** Pictures that look like those on lists of PDQ hashes (`moderation.perceptual`). */
export class PerceptualGate implements Gate {
  readonly name = 'perceptual'
  readonly onFailure = 'allow'
  readonly #config: PerceptualConfig
  readonly #lists: readonly Pick<KeptList<PdqList>, 'current'>[]
  readonly #lookAt: LookAt

  constructor(lists: readonly Pick<KeptList<PdqList>, 'current'>[], config: PerceptualConfig, lookAt: LookAt) {
    this.#lists = lists
    this.#config = config
    this.#lookAt = lookAt
  }

  /** Of what cannot be decoded here, nobody can say what it looks like: recordings, documents, encrypted files. */
  async judge(candidate: Candidate): Promise<Verdict> {
    const { action, maxDistance, minQuality } = this.#config
    if (this.#lists.every(({ current }) => !current || current.size === 0)) return ALLOWED
    const looks = await this.#looksOf(candidate)
    if (!looks || looks.quality < minQuality) return ALLOWED
    for (const { current } of this.#lists) {
      const alike = await current?.nearest(looks.hash, maxDistance)
      if (!alike) continue
      const { reason, distance } = alike
      return { action, reason: `${reason || 'it looks like a picture on a list'} (${distance} of 256 bits differ)` }
    }
    return ALLOWED
  }

  async #looksOf({ staged, homeserver, signal }: Candidate): Promise<Looks | undefined> {
    try {
      return await this.#lookAt(staged.path, homeserver, signal)
    } catch (error) {
      if (error instanceof Refused && error.reason !== 'limited') return undefined
      throw error
    }
  }
}
