import type { EventParts } from '../../lib/events.ts'
import { signingKeyKept, signingKeyMissing, signingKeyRead } from '../../lib/key-events.ts'
import { KeyFileError, readKeyFile } from './key-files.ts'
import { howToMend } from './mend.ts'
import type { SigningKey } from './signing-key.ts'

/** What has to be known of a homeserver to sign for it; the keys are MMR's. */
export interface KeyOwner {
  readonly name: string
  /** '' for none. */
  readonly signingKeyPath: string
  readonly adminApiKind: 'synapse' | 'dendrite' | 'matrix'
}

export interface OwnKeysParts {
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  /** How often the files are read again, in ms (10,000); MMR notices a change within five minutes. */
  readonly pollMs?: number
}

interface State {
  readonly path: string
  /** The file's keys in its order, of its last good reading. */
  readonly keys: readonly SigningKey[]
  /** Why the file could not be read this time. */
  readonly problem: string | undefined
}

type Reading = readonly SigningKey[] | KeyFileError

const POLL_MS = 10_000

/**
 * The keys with which our homeservers sign. Their files are read again all the time, since a few short files cost less than a watch
 * that is lost when a file is replaced; one that has become unusable changes nothing.
 */
export class OwnKeys implements AsyncDisposable {
  readonly #events: OwnKeysParts['events']
  readonly #states = new Map<string, State>()
  readonly #timer: NodeJS.Timeout
  #owners: readonly KeyOwner[] = []
  #turn: Promise<void> = Promise.resolve()

  constructor({ events, pollMs = POLL_MS }: OwnKeysParts) {
    this.#events = events
    this.#timer = setInterval(() => void this.#readSoon(), pollMs).unref()
  }

  /** Reads the keys of these homeservers, and says for each that has none how to mend it. Never rejects. */
  async configure(owners: readonly KeyOwner[]): Promise<void> {
    this.#owners = owners
    for (const name of this.#states.keys()) if (!owners.some((owner) => owner.name === name)) this.#states.delete(name)
    await this.#readSoon()
  }

  /** The key with which a homeserver signs: the first of its file. Undefined if it has none. */
  keyOf(homeserver: string): SigningKey | undefined {
    return this.#states.get(homeserver)?.keys[0]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#turn
  }

  /** One reading after the other, so that an older one never replaces a newer one. */
  #readSoon(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#read())
    return this.#turn
  }

  async #read(): Promise<void> {
    const owners = this.#owners
    const paths = new Set(owners.map((owner) => owner.signingKeyPath))
    const readings = new Map<string, Reading>()
    for (const path of paths) if (path !== '') readings.set(path, await attempt(path))
    if (owners !== this.#owners) return
    for (const owner of owners) this.#update(owner, readings.get(owner.signingKeyPath))
  }

  #update(owner: KeyOwner, reading: Reading | undefined): void {
    const before = this.#states.get(owner.name)
    const after = stateOf(owner.signingKeyPath, reading, before)
    this.#states.set(owner.name, after)
    if (before && isSame(before, after)) return
    this.#report(owner, after, reading)
  }

  #report(owner: KeyOwner, { path, keys: [key], problem }: State, reading: Reading | undefined): void {
    const host = owner.name
    if (!key) {
      const mend = howToMend(owner, reading instanceof KeyFileError ? reading : undefined)
      signingKeyMissing(this.#events, { host, problem: problem ?? 'it has no signingKeyPath', mend })
    } else if (problem === undefined) {
      signingKeyRead(this.#events, { host, path, keyId: key.id, publicKey: key.publicKey })
    } else {
      signingKeyKept(this.#events, { host, path, keyId: key.id, problem })
    }
  }
}

function stateOf(path: string, reading: Reading | undefined, before: State | undefined): State {
  if (reading === undefined) return { path, keys: [], problem: undefined }
  if (reading instanceof KeyFileError) return { path, keys: before?.keys ?? [], problem: reading.message }
  return { path, keys: reading, problem: undefined }
}

function isSame(before: State, after: State): boolean {
  const names = ({ path, keys, problem }: State) =>
    [path, problem ?? '', ...keys.map(({ id, publicKey }) => `${id} ${publicKey}`)].join('\n')
  return names(before) === names(after)
}

async function attempt(path: string): Promise<Reading> {
  try {
    return await readKeyFile(path)
  } catch (error) {
    return error instanceof KeyFileError ? error : new KeyFileError(`${path} cannot be read`, { cause: error })
  }
}
