import { hash } from 'node:crypto'
import type { Clock } from '../lib/clock.ts'
import { cacheHit, cacheMissed, cacheSized } from '../lib/events.ts'
import type { Metrics } from '../lib/metrics.ts'
import type { ByteRange, OpenObject } from './datastore.ts'
import type { Datastores, Place } from './datastores.ts'
import { type CacheOptions, inMemory, ObjectMemory } from './memory.ts'

/** An object that is stored somewhere, known by its content. */
export interface CacheableObject extends Place {
  /** Lower-case hex. */
  readonly sha256: string
  /** Bytes. */
  readonly size: number
}

/**
 * Another place to have whole small objects from, quicker than their datastores: one that instances share. It may lose or
 * refuse anything; what fails there is its own to log and to count.
 */
export interface CacheLevel {
  /** Whether an object of so many bytes may be there. */
  takes(size: number): boolean
  /** The bytes, if they are there; whether they are the right ones is looked at afterwards. Never rejects. */
  get(sha256: string): Promise<Buffer | undefined>
  /** Offers bytes to keep. Nobody changes them. */
  put(sha256: string, bytes: Buffer): void
  /** These objects were deleted or quarantined: they must not stay. */
  drop(sha256s: readonly string[] | 'all'): void
}

export interface ObjectCacheParts {
  readonly datastores: Pick<Datastores, 'open'>
  /** In the order in which they are asked, after this process's own memory. */
  readonly levels: readonly CacheLevel[]
  readonly metrics: Metrics
  readonly clock: Clock
}

const NAME = 'media'

/**
 * Small objects that are asked for again and again, in front of any datastore. What it gives is the content of a hash, which
 * never changes; who may have it is decided before, from its record. Everybody who asks at once shares one reading.
 */
export class ObjectCache {
  readonly #parts: ObjectCacheParts
  readonly #memory: ObjectMemory
  readonly #reading = new Map<string, Promise<Buffer | undefined>>()

  constructor(parts: ObjectCacheParts, options: CacheOptions) {
    this.#parts = parts
    this.#memory = new ObjectMemory(options)
  }

  configure(options: CacheOptions): void {
    this.#memory.configure(options)
    this.#tellSize()
  }

  /** Whether the bytes are in this process's memory. */
  has({ sha256 }: Pick<CacheableObject, 'sha256'>): boolean {
    return this.#memory.has(sha256)
  }

  /** The object, if it is in memory; counts as a request for it only then. */
  get({ sha256 }: Pick<CacheableObject, 'sha256'>): OpenObject | undefined {
    const kept = this.#memory.get(sha256)
    if (kept) cacheHit(this.#parts, NAME)
    return kept
  }

  /** Opens an object, to read `part` of it if given, from memory or from wherever it is. Fails as its datastore does. */
  async open(object: CacheableObject, part?: ByteRange): Promise<OpenObject> {
    const { datastores, levels, clock } = this.#parts
    const { size, sha256 } = object
    const here = this.#memory.mayKeep(size)
    const elsewhere = levels.some((level) => level.takes(size))
    if (!here && !elsewhere) return await datastores.open(object, part)
    const kept = this.get(object)
    if (kept) return kept
    if (here) cacheMissed(this.#parts, NAME)
    const wanted = this.#memory.wants(sha256, clock.now())
    if (!wanted && !elsewhere) return await datastores.open(object, part)
    const bytes = wanted ? await this.#readOnce(object) : await this.#fromLevels(object)
    return bytes ? inMemory(bytes) : await datastores.open(object, part)
  }

  /** Forgets objects that were deleted or quarantined, also those that are being read. */
  drop(sha256s: readonly string[] | 'all'): void {
    if (sha256s === 'all') {
      this.#memory.clear()
      this.#reading.clear()
    } else {
      for (const sha256 of sha256s) {
        this.#memory.drop(sha256)
        this.#reading.delete(sha256)
      }
    }
    for (const level of this.#parts.levels) level.drop(sha256s)
    this.#tellSize()
  }

  #readOnce(object: CacheableObject): Promise<Buffer | undefined> {
    const { sha256 } = object
    const underWay = this.#reading.get(sha256)
    if (underWay) return underWay
    const isStill = () => this.#reading.get(sha256) === reading
    const reading = this.#read(object, isStill).finally(() => isStill() && this.#reading.delete(sha256))
    this.#reading.set(sha256, reading)
    return reading
  }

  /** Reads the object whole and keeps it, unless it was dropped meanwhile. */
  async #read(object: CacheableObject, isStill: () => boolean): Promise<Buffer | undefined> {
    const { levels, datastores, clock } = this.#parts
    const shared = await this.#fromLevels(object)
    const bytes = shared ?? (await readWhole(datastores, object))
    if (!bytes || !isStill()) return bytes
    this.#memory.keep(object.sha256, bytes, clock.now())
    this.#tellSize()
    if (!shared) for (const level of levels) if (level.takes(bytes.length)) level.put(object.sha256, bytes)
    return bytes
  }

  async #fromLevels({ sha256, size }: CacheableObject): Promise<Buffer | undefined> {
    for (const level of this.#parts.levels) {
      if (!level.takes(size)) continue
      const bytes = await level.get(sha256)
      if (bytes?.length === size && hash('sha256', bytes) === sha256) return bytes
    }
    return undefined
  }

  #tellSize(): void {
    cacheSized(this.#parts, NAME, this.#memory.bytes)
  }
}

/** The object's bytes; undefined when there are not as many as its record says. */
async function readWhole(datastores: Pick<Datastores, 'open'>, object: CacheableObject): Promise<Buffer | undefined> {
  await using opened = await datastores.open(object)
  if (opened.size !== object.size) return undefined
  // Memory of its own: a part of Node's shared pool would keep the rest of it from being freed.
  const bytes = Buffer.allocUnsafeSlow(object.size)
  let position = 0
  for await (const chunk of opened.read({ start: 0, end: object.size - 1 })) {
    bytes.set(chunk, position)
    position += chunk.length
  }
  return position === object.size ? bytes : undefined
}
