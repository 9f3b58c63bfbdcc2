import type { Candidate } from './gate.ts'

/** A staged file that whoever knows its address may read. */
export interface ShownFile extends Disposable {
  readonly url: string
}

export type StagedBytes = Pick<Candidate['staged'], 'path' | 'size' | 'sha256'>

/** The path below which they are read; behind it comes the file's token. */
export const SHOWN_PATH = '/_matrix/media/unstable/io.cellarium/staged'

/**
 * Files that are being judged and that a hook may fetch from this instance: each under an address that nobody can guess, until its
 * hook has answered.
 */
export class ShownFiles {
  readonly #newToken: () => string
  readonly #shown = new Map<string, StagedBytes>()
  #base = ''

  /** `newToken` makes a text that nobody can guess. */
  constructor(newToken: () => string) {
    this.#newToken = newToken
  }

  /** Where this instance is reached, such as `http://127.0.0.1:8000`. */
  reachedAt(base: string): void {
    this.#base = base.replace(/\/+$/, '')
  }

  /** Dispose it when nobody is to read it any more. */
  show({ path, size, sha256 }: StagedBytes): ShownFile {
    const token = this.#newToken()
    this.#shown.set(token, { path, size, sha256 })
    return {
      url: `${this.#base}${SHOWN_PATH}/${token}`,
      [Symbol.dispose]: () => void this.#shown.delete(token),
    }
  }

  find(token: string): StagedBytes | undefined {
    return this.#shown.get(token)
  }
}

/** The address under which a listening server reaches itself: of one that listens everywhere, the loopback. */
export function ownAddress({ address, port }: { readonly address: string; readonly port: number }): string {
  const host = { '0.0.0.0': '127.0.0.1', '::': '[::1]' }[address] ?? (address.includes(':') ? `[${address}]` : address)
  return `http://${host}:${port}`
}
