import { stat } from 'node:fs/promises'
import { StorageUnavailable } from '../lib/errors.ts'
import { UNREACHABLE } from './outage.ts'

/**
 * Knows a folder again. When its disk is taken away while the server runs, another folder, as a rule an empty one, lies in its
 * place: everything seems to be missing there, and nothing may be put there, or it is hidden once the disk is back.
 */
export class Mount {
  readonly #path: string
  /** A file or folder that lies on its disk. A disk that was mounted anew may have another number, and has this. */
  readonly #mark: string
  readonly #known: Identity

  private constructor(path: string, mark: string, known: Identity) {
    this.#path = path
    this.#mark = mark
    this.#known = known
  }

  /** The folder as it is now counts as the right one. */
  static async of(path: string, mark: string): Promise<Mount> {
    return new Mount(path, mark, await stat(path))
  }

  /** @throws {StorageUnavailable} when the folder is not the one that it was, or cannot be looked at */
  async expect(): Promise<void> {
    const found = await stat(this.#path).catch((error: unknown) => {
      throw gone(this.#path, error)
    })
    if (found.ino === this.#known.ino && found.dev === this.#known.dev) return
    await stat(this.#mark).catch((error: unknown) => {
      throw gone(this.#path, error)
    })
  }
}

interface Identity {
  readonly dev: number
  readonly ino: number
}

function gone(path: string, cause: unknown): StorageUnavailable {
  const what = new Error(`${path} is not the folder that it was when the server started: is its disk mounted?`, {
    cause,
  })
  return new StorageUnavailable(UNREACHABLE, { cause: what })
}
