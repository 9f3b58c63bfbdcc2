import type { MainConfig } from '../../config/schema.ts'
import { WorkQueue } from '../../lib/work-queue.ts'
import { scan } from './clamd-scan.ts'
import { ALLOWED, type Candidate, type Gate, type Verdict } from './gate.ts'

type ClamdConfig = MainConfig['moderation']['clamd']

const WAITING_AT_MOST = 500
const RETRY_MS = 5000

/** Files in which ClamAV finds something (`moderation.clamd`). */
export class ClamdGate implements Gate {
  readonly name = 'clamd'
  readonly onFailure: Gate['onFailure']
  readonly #config: ClamdConfig
  readonly #queue: WorkQueue

  constructor(config: ClamdConfig) {
    this.onFailure = config.onFailure
    this.#config = config
    this.#queue = new WorkQueue({
      atATime: config.atATime,
      waiting: WAITING_AT_MOST,
      retryMs: RETRY_MS,
      what: 'files are being scanned (moderation.clamd.atATime)',
    })
  }

  async judge({ staged, signal }: Candidate): Promise<Verdict> {
    const { address, action, maxBytes, timeoutSeconds } = this.#config
    if (maxBytes > 0 && staged.size > maxBytes) return this.#tooLarge(`clamd.maxBytes is ${maxBytes}`)
    const result = await this.#queue.run(signal, () =>
      scan(staged.path, { address, timeoutMs: timeoutSeconds * 1000, signal }),
    )
    if (result.outcome === 'clean') return ALLOWED
    if (result.outcome === 'too_large') return this.#tooLarge('it is over StreamMaxLength of clamd')
    return { action, reason: result.what, told: 'malicious software was found in this file' }
  }

  #tooLarge(why: string): Verdict {
    if (this.#config.tooLarge === 'allow') return ALLOWED
    const told = 'this file is too large to be scanned for malicious software'
    return { action: 'reject', reason: `${told}: ${why}`, told }
  }
}
