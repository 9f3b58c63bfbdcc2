import type { MainConfig } from '../../config/schema.ts'
import type { Clock } from '../../lib/clock.ts'
import { formatMxc } from '../../matrix/ids.ts'
import { ALLOWED, type Candidate, type Gate, type Verdict } from './gate.ts'
import { ask } from './hook-request.ts'
import type { ShownFiles } from './shown-files.ts'

export type HookConfig = MainConfig['moderation']['hooks'][number]

export interface HookParts {
  readonly clock: Clock
  readonly shownFiles: Pick<ShownFiles, 'show'>
}

/** A service of the administrator's that is asked about each file (`moderation.hooks[]`). */
export class HookGate implements Gate {
  readonly name: string
  readonly onFailure: Gate['onFailure']
  readonly #config: HookConfig
  readonly #parts: HookParts

  constructor(parts: HookParts, config: HookConfig, name: string) {
    this.#parts = parts
    this.#config = config
    this.name = name
    this.onFailure = config.onFailure
  }

  async judge(candidate: Candidate): Promise<Verdict> {
    const { maxBytes, send, url, secret, timeoutSeconds } = this.#config
    const { staged, signal } = candidate
    if (maxBytes > 0 && staged.size > maxBytes) return ALLOWED
    const timeoutMs = timeoutSeconds * 1000
    using shown = send === 'url' ? this.#parts.shownFiles.show(staged) : undefined
    const metadata = { ...this.#describe(candidate), ...(shown ? { content_url: shown.url } : {}) }
    return await ask(
      { url, secret, timeoutMs, signal, now: this.#parts.clock.now() },
      JSON.stringify(metadata),
      send === 'bytes' ? staged : undefined,
    )
  }

  #describe(candidate: Candidate) {
    const { staged, kind, homeserver, uploader, address, contentType, uploadName } = candidate
    return {
      kind,
      homeserver,
      mxc: formatMxc(candidate),
      origin: candidate.origin,
      media_id: candidate.mediaId,
      user_id: uploader,
      content_type: contentType,
      upload_name: uploadName,
      size: staged.size,
      sha256: staged.sha256,
      ...(this.#config.sendAddress ? { ip: address } : {}),
    }
  }
}
