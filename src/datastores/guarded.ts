import { setTimeout as pause } from 'node:timers/promises'
import { Availability, type OnAvailability } from '../lib/availability.ts'
import { StorageUnavailable } from '../lib/errors.ts'
import type {
  ByteRange,
  Datastore,
  ForeignBytes,
  KeptObject,
  ListOptions,
  ObjectDescription,
  OpenObject,
  Presented,
  RedirectRules,
  StoredKind,
} from './datastore.ts'
import { asUnavailable, isOfAll, type Outage, outageOf, UNREACHABLE } from './outage.ts'
import type { StagedFile, StageOptions } from './staging.ts'

export interface GuardParts {
  readonly now: () => number
  /** Hears of the first failure of an outage, and of its end. */
  readonly onChange: OnAvailability
  /** How long a datastore may take to answer, in ms; those of `WAITS` if not given. */
  readonly waits?: Partial<typeof WAITS>
}

/** All in ms. */
const WAITS = {
  /** To open or look at an object: longer than S3's own limits. Puts and reads take as long as they get on. */
  answerMs: 60_000,
  checkMs: 5000,
  /** Calls that fail later than this are not let through while the outage lasts: they would pile up. */
  slowMs: 2000,
  firstProbeMs: 1000,
  lastProbeMs: 30_000,
}

type Direction = 'read' | 'write'

const DIRECTIONS: readonly Direction[] = ['read', 'write']

/**
 * The one way to a datastore. Its failures become `StorageUnavailable`; whether it can be used is known from its uses and told
 * once a change; while it fails slowly, or is known to be down for everybody, calls are refused at once; and as long as it cannot be used, it is tried in the
 * background, so that it comes back by itself.
 */
export class GuardedDatastore implements Datastore {
  readonly id: string
  readonly uri: string
  readonly kinds: ReadonlySet<StoredKind>
  readonly adopt?: (bytes: ForeignBytes) => Promise<string | undefined>
  readonly localPath?: (location: string) => string
  readonly link?: (location: string, presented: Presented) => Promise<URL | undefined>
  readonly settle?: (location: string) => Promise<void>
  readonly listsRecentQuickly: boolean
  readonly sweepStaged?: () => Promise<number>
  readonly #inner: Datastore
  readonly #now: () => number
  readonly #onChange: OnAvailability
  readonly #waits: typeof WAITS
  readonly #state: Readonly<Record<Direction, Availability>>
  readonly #shed = new Set<Direction>()
  readonly #closed = new AbortController()
  #probing = false
  #ended = false
  #checking: Promise<void> | undefined

  constructor(inner: Datastore, { now, onChange, waits = {} }: GuardParts) {
    this.id = inner.id
    this.uri = inner.uri
    this.kinds = inner.kinds
    const adopt = inner.adopt?.bind(inner)
    if (adopt) this.adopt = (bytes) => this.#use('write', () => adopt(bytes))
    const settle = inner.settle?.bind(inner)
    if (settle) this.settle = (location) => this.#use('write', () => settle(location))
    const localPath = inner.localPath?.bind(inner)
    if (localPath) this.localPath = localPath
    const link = inner.link?.bind(inner)
    if (link) this.link = (location, presented) => this.#use('read', () => link(location, presented))
    this.listsRecentQuickly = inner.listsRecentQuickly ?? false
    const sweepStaged = inner.sweepStaged?.bind(inner)
    if (sweepStaged) this.sweepStaged = () => this.#use('write', sweepStaged)
    this.#inner = inner
    this.#now = now
    this.#onChange = onChange
    this.#waits = { ...WAITS, ...waits }
    const watch = (direction: Direction) => new Availability({ now, onChange: () => this.#changed(direction) })
    this.#state = { read: watch('read'), write: watch('write') }
  }

  get redirects(): RedirectRules | undefined {
    return this.#inner.redirects
  }

  /** What is wrong with it, as far as its uses have shown. */
  get outage(): Outage | undefined {
    const found = [this.#state.read, this.#state.write].map(({ problem }) => outageOf(problem))
    return found.includes('down') ? 'down' : found.find((outage) => outage !== undefined)
  }

  /** Takes nothing new at the moment. */
  get refusesWrites(): boolean {
    return this.#state.write.problem !== undefined
  }

  async stage(source: AsyncIterable<Uint8Array>, options: StageOptions): Promise<StagedFile> {
    this.#refuseIfShed('write')
    let senders: unknown
    const watched = telling(source, (error) => (senders = error))
    try {
      return await this.#inner.stage(watched, options)
    } catch (error) {
      if (error !== undefined && error === senders) throw error
      throw this.#failed('write', error, 0)
    }
  }

  put(staged: StagedFile, described: ObjectDescription): Promise<string> {
    return this.#use('write', () => this.#inner.put(staged, described))
  }

  async open(location: string, part?: ByteRange): Promise<OpenObject> {
    const { answerMs } = this.#waits
    const opened = await this.#use('read', () => this.#inTime(this.#inner.open(location, part), answerMs, closeUnused))
    return new GuardedObject(opened, (error) => this.#failed('read', error, 0))
  }

  sizeOf(location: string): Promise<number | undefined> {
    return this.#use('read', () => this.#inTime(this.#inner.sizeOf(location), this.#waits.answerMs))
  }

  delete(location: string): Promise<void> {
    return this.#use('write', () => this.#inner.delete(location))
  }

  async *list(options?: ListOptions): AsyncGenerator<KeptObject> {
    try {
      yield* this.#inner.list(options)
    } catch (error) {
      throw this.#failed('read', error, 0)
    }
  }

  /**
   * As the datastore's own, for a few seconds at the most. One at a time: anybody may ask for the server's health, as often as
   * they like, and a disk that hangs must not take one more thread each time.
   */
  async check(): Promise<void> {
    const began = this.#now()
    this.#checking ??= this.#inner.check().finally(() => (this.#checking = undefined))
    try {
      await this.#inTime(this.#checking, this.#waits.checkMs)
      this.#state.read.recovered()
      this.#state.write.recovered()
    } catch (error) {
      const took = this.#now() - began
      if (took >= this.#waits.slowMs) this.#failed('read', error, took)
      throw this.#failed('write', error, took)
    }
  }

  /** Nobody will put anything here any more; who still reads may. It is not looked after in the background any more. */
  retire(): void {
    this.#closed.abort()
  }

  /** As the datastore's own; what fails from now on says nothing about it. */
  abort(): void {
    this.#ended = true
    this.retire()
    this.#inner.abort?.()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.abort()
    await this.#inner[Symbol.asyncDispose]()
  }

  async #use<Result>(direction: Direction, work: () => Promise<Result>): Promise<Result> {
    this.#refuseIfShed(direction)
    const began = this.#now()
    try {
      const result = await work()
      this.#state[direction].worked()
      return result
    } catch (error) {
      throw this.#failed(direction, error, this.#now() - began)
    }
  }

  /** What came too late is given to `unused`. The call itself cannot be taken back. */
  async #inTime<Result>(work: Promise<Result>, ms: number, unused?: (late: Result) => Promise<void>): Promise<Result> {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      late.reject(tooSlow(this.id, ms))
      work.then(unused).catch(() => {})
    }, ms)
    try {
      return await Promise.race([work, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  #refuseIfShed(direction: Direction): void {
    if (!this.#shed.has(direction)) return
    throw new StorageUnavailable(UNREACHABLE, { cause: this.#state[direction].problem })
  }

  /** Notes what the error says of the datastore, and gives it as callers are to see it. */
  #failed(direction: Direction, error: unknown, tookMs: number): unknown {
    if (outageOf(error) !== undefined && !this.#ended) {
      for (const failing of isOfAll(error) ? DIRECTIONS : [direction]) {
        if (tookMs >= this.#waits.slowMs || isOfAll(error)) this.#shed.add(failing)
        this.#state[failing].failed(error)
      }
      if (!this.#probing) void this.#probe()
    }
    return asUnavailable(error)
  }

  #changed(direction: Direction): void {
    if (this.#state[direction].problem === undefined) this.#shed.delete(direction)
    this.#onChange(this.#state.read.problem ?? this.#state.write.problem)
  }

  /** Tries it, less and less often, until it can be used. */
  async #probe(): Promise<void> {
    this.#probing = true
    const { firstProbeMs, lastProbeMs } = this.#waits
    for (let wait = firstProbeMs; this.outage !== undefined; wait = Math.min(wait * 2, lastProbeMs)) {
      const woken = await pause(wait, true, { ref: false, signal: this.#closed.signal }).catch(() => false)
      if (!woken) return
      await this.check().catch(() => {})
    }
    this.#probing = false
  }
}

async function closeUnused(late: OpenObject): Promise<void> {
  await late[Symbol.asyncDispose]()
}

function tooSlow(datastore: string, ms: number): Error {
  const error = new Error(`datastore ${datastore} did not answer within ${ms} ms`)
  return Object.assign(error, { code: 'ETIMEDOUT' })
}

/**
 * The same chunks; an error becomes what `tell` makes of it. Passed on one by one as they are asked for: a generator around
 * the source would cost each of them another turn.
 */
function telling(source: AsyncIterable<Uint8Array>, tell: (error: unknown) => unknown): AsyncIterable<Uint8Array> {
  const rethrow = (error: unknown) => {
    throw tell(error)
  }
  return {
    [Symbol.asyncIterator]() {
      const chunks = source[Symbol.asyncIterator]()
      return {
        next: () => chunks.next().catch(rethrow),
        return: async () => (await chunks.return?.()) ?? { done: true, value: undefined },
      }
    },
  }
}

/** An object whose failing reads are told. (`Record`: nothing of what it may have is to be forgotten here.) */
class GuardedObject implements OpenObject, Record<keyof OpenObject, unknown> {
  readonly size: number
  readonly bytes: Buffer | undefined
  readonly offload: OpenObject['offload']
  readonly #inner: OpenObject
  readonly #failed: (error: unknown) => unknown

  constructor(inner: OpenObject, failed: (error: unknown) => unknown) {
    this.size = inner.size
    this.bytes = inner.bytes
    this.offload = inner.offload
    this.#inner = inner
    this.#failed = failed
  }

  read(range: ByteRange): AsyncIterable<Uint8Array> {
    return telling(this.#inner.read(range), this.#failed)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]()
  }
}
