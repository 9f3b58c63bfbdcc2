import { realpath } from 'node:fs/promises'
import { isAbsolute, join, relative, sep } from 'node:path'
import { Readable } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import { ConfigError } from '../lib/errors.ts'
import {
  type ByteRange,
  type Datastore,
  ObjectMissing,
  type OpenObject,
  type Presented,
  type RedirectRules,
  type StoredKind,
} from './datastore.ts'
import { readS3Options, type S3Options } from '../config/s3-options.ts'
import { type FileDatastoreParts, openFileDatastore } from './file.ts'
import { GuardedDatastore } from './guarded.ts'
import type { Outage } from './outage.ts'
import { openS3Datastore, type S3Parts } from './s3/s3.ts'

/** A datastore as the configuration names it. */
export interface DatastoreConfig {
  readonly type: string
  readonly id: string
  readonly forKinds: readonly string[]
  readonly opts: Readonly<Record<string, string | undefined>>
}

/** What datastores of all types need. */
export type DatastoreParts = FileDatastoreParts & S3Parts

/** A datastore that a homeserver may use, and for what: two homeservers may use one for different kinds. */
export interface UsableDatastore {
  readonly id: string
  readonly forKinds: readonly string[]
}

const KINDS: readonly StoredKind[] = ['thumbnails', 'remote_media', 'local_media', 'archives']

/** Where an object is: a datastore's id, and its location there. */
export interface Place {
  readonly datastore: string
  readonly location: string
}

export interface DatastoresParts extends FileDatastoreParts, S3Parts {
  /** Hears when a datastore cannot be used any more (with what is wrong), and when it can be used (again). */
  readonly onAvailability?: (datastore: string, problem: unknown) => void
}

interface Configured {
  readonly config: DatastoreConfig
  readonly datastore: GuardedDatastore
  /** The folder, whatever links lead to it; undefined where the objects are no files of this machine. */
  readonly folder: string | undefined
}

/** Every datastore of every homeserver, by id. */
export class Datastores implements AsyncDisposable {
  readonly #parts: DatastoresParts
  #byId: ReadonlyMap<string, Configured> = new Map()

  constructor(parts: DatastoresParts) {
    this.#parts = parts
  }

  get all(): Iterable<Datastore> {
    return [...this.#byId.values()].map(({ datastore }) => datastore)
  }

  /** The datastore with this id, if one is configured. */
  get(id: string): Datastore | undefined {
    return this.#byId.get(id)?.datastore
  }

  /** The datastore's type, as the configuration names it. */
  typeOf({ id }: Pick<Datastore, 'id'>): string {
    return this.#byId.get(id)?.config.type ?? ''
  }

  /** Makes the datastores those of `configs`, all or none. Throws ConfigError for one that cannot be opened. */
  async configure(configs: readonly DatastoreConfig[]): Promise<void> {
    const { apply } = await this.prepare(configs)
    apply()
  }

  /**
   * Opens the datastores of `configs`, and gives those that are new, what puts all in the place of those of now, at once, and what
   * closes the new ones again. What is configured as before stays as it is. One that is no longer configured is only forgotten, so that downloads
   * from it end well. Throws ConfigError for one that cannot be opened, with the others closed again.
   */
  async prepare(configs: readonly DatastoreConfig[]): Promise<{
    readonly opened: readonly Datastore[]
    readonly apply: () => void
    readonly discard: () => Promise<void>
  }> {
    await using opened = new AsyncDisposableStack()
    const next = configs.map(async (config): Promise<[string, Configured]> => {
      const before = this.#byId.get(config.id)
      if (before && isDeepStrictEqual(before.config, config)) return [config.id, before]
      const datastore = opened.use(await this.#open(config))
      const folder = datastore.localPath && (await realpath(datastore.uri))
      return [config.id, { config, datastore, folder }]
    })
    // One that opens after another has failed is closed as well.
    await Promise.allSettled(next)
    const byId = new Map(await Promise.all(next))
    const closing = opened.move()
    const all = [...byId.values()].map(({ datastore }) => datastore)
    return {
      opened: all.filter((datastore) => this.#byId.get(datastore.id)?.datastore !== datastore),
      apply: () => this.#replace(byId),
      discard: () => closing.disposeAsync(),
    }
  }

  async #open(config: DatastoreConfig): Promise<GuardedDatastore> {
    const onChange = (problem: unknown) => this.#parts.onAvailability?.(config.id, problem)
    return new GuardedDatastore(await openDatastore(config, this.#parts), { now: this.#parts.now, onChange })
  }

  #replace(byId: ReadonlyMap<string, Configured>): void {
    for (const [id, { datastore }] of this.#byId) if (byId.get(id)?.datastore !== datastore) datastore.retire()
    for (const id of byId.keys()) if (!this.#byId.has(id)) this.#parts.onAvailability?.(id, undefined)
    this.#byId = byId
  }

  /**
   * The datastores that may take a new object of `kind`, among those the homeserver may use: the ones that take something at
   * the moment, or all if none does, so that who tries hears what is wrong.
   */
  candidates(kind: StoredKind, usable: readonly UsableDatastore[]): readonly Datastore[] {
    const configured = usable
      .filter(({ forKinds }) => forKinds.includes(kind) || forKinds.includes('all'))
      .map(({ id }) => this.#byId.get(id)?.datastore)
      .filter((datastore) => datastore !== undefined)
    const working = configured.filter((datastore) => !datastore.refusesWrites)
    return working.length > 0 ? working : configured
  }

  /** Looks at each datastore and says how it is. Takes a few seconds at the most. */
  async check(): Promise<Record<string, 'up' | Outage>> {
    const states = [...this.#byId].map(async ([id, { datastore }]) => {
      const problem = await datastore.check().catch((error: unknown) => error)
      return [id, datastore.outage ?? (problem === undefined ? 'up' : 'down')] as const
    })
    return Object.fromEntries(await Promise.all(states))
  }

  /** `part` is what is going to be read, where that is known. */
  async open(place: Place, part?: ByteRange): Promise<OpenObject> {
    return await this.#at(place).open(place.location, part)
  }

  /** Where a local program finds an object as a file with all its bytes; undefined where it has none, or another one. */
  async wholeFile({ datastore: id, location, size }: Place & { readonly size: number }): Promise<string | undefined> {
    const datastore = this.#byId.get(id)?.datastore
    const path = datastore?.localPath?.(location)
    return path !== undefined && (await datastore?.sizeOf(location)) === size ? path : undefined
  }

  /** A file with the opened object's bytes for a local program to read: its own, or a copy that disposing deletes. */
  async localFile(place: Place, opened: OpenObject): Promise<{ readonly path: string } & AsyncDisposable> {
    const datastore = this.#at(place)
    const path = datastore.localPath?.(place.location)
    if (path !== undefined) return { path, async [Symbol.asyncDispose]() {} }
    const whole = { start: 0, end: opened.size - 1 }
    return await datastore.stage(opened.size === 0 ? Readable.from([]) : opened.read(whole), { maxBytes: 0 })
  }

  /**
   * The same place under the ids of other datastores. An administrator may have given one folder or bucket two ids (as matrix-media-repo
   * let them), or have put one folder into the other: what is nobody's under one id may be named under the other.
   */
  otherPlaces({ datastore, location }: Place): readonly Place[] {
    const own = this.#byId.get(datastore)
    if (!own) return []
    return [...this.#byId].flatMap(([id, other]) => {
      const there = other === own ? undefined : locationIn(other, own, location)
      return there === undefined ? [] : [{ datastore: id, location: there }]
    })
  }

  /** How many bytes an object has now; undefined when it is not there, or its datastore is not configured. */
  async sizeOf(place: Place): Promise<number | undefined> {
    return await this.#byId.get(place.datastore)?.datastore.sizeOf(place.location)
  }

  /** Makes an object survive a power cut that may have been put as one that can be made anew. */
  async settle(place: Place): Promise<void> {
    await this.#at(place).settle?.(place.location)
  }

  /**
   * An address at which a client gets the object without us; undefined, at once, where its datastore gives none, or `allowed`
   * refuses by what the administrator decided for that datastore.
   */
  link(
    place: Place,
    present: () => Presented,
    allowed: (rules: RedirectRules) => boolean,
  ): Promise<URL | undefined> | undefined {
    const datastore = this.#byId.get(place.datastore)?.datastore
    if (!datastore?.redirects || !allowed(datastore.redirects)) return undefined
    return datastore.link?.(place.location, present())
  }

  /** Ends the calls under way that may take long. For the end of the server: none works any more. */
  abort(): void {
    for (const { datastore } of this.#byId.values()) datastore.abort()
  }

  async delete(place: Place): Promise<void> {
    await this.#at(place).delete(place.location)
  }

  #at(place: Place): Datastore {
    const configured = this.#byId.get(place.datastore)
    if (configured) return configured.datastore
    throw new ObjectMissing(place.datastore, place.location, {
      cause: new Error(`no datastore with the id ${place.datastore} is configured`),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.all].map((datastore) => datastore[Symbol.asyncDispose]()))
  }
}

/** What `other` would call the object that `own` calls `location`; undefined where it is none of its. */
function locationIn(other: Configured, own: Configured, location: string): string | undefined {
  if (other.folder === undefined || own.folder === undefined)
    return other.datastore.uri === own.datastore.uri ? location : undefined
  const path = relative(other.folder, join(own.folder, location))
  return path.startsWith(`..${sep}`) || isAbsolute(path) ? undefined : path.replaceAll(sep, '/')
}

type Open = (config: DatastoreConfig, kinds: ReadonlySet<StoredKind>, parts: DatastoreParts) => Promise<Datastore>

/** The registry: a new type of datastore is one file and one line here. */
const types: Readonly<Record<string, Open>> = {
  file: (config, kinds, parts) =>
    openFileDatastore({ id: config.id, kinds, path: required(config, 'path'), offload: config.opts['offload'] }, parts),
  s3: (config, kinds, parts) => openS3Datastore({ id: config.id, kinds, options: s3Options(config) }, parts),
}

async function openDatastore(config: DatastoreConfig, parts: DatastoreParts): Promise<Datastore> {
  const open = types[config.type]
  if (!open)
    throw new ConfigError([
      `datastore ${config.id}: type ${config.type} is not one of ${Object.keys(types).join(', ')}`,
    ])
  const kinds = new Set(KINDS.filter((kind) => config.forKinds.includes(kind) || config.forKinds.includes('all')))
  try {
    return await open(config, kinds, parts)
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    const sentence = `datastore ${config.id} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`
    throw new ConfigError([sentence], { cause, mayPass: true })
  }
}

function s3Options({ id, opts }: DatastoreConfig): S3Options {
  const read = readS3Options(opts)
  if (!('problems' in read)) return read
  throw new ConfigError(read.problems.map(({ option, problem }) => `datastore ${id}: opts.${option} ${problem}`))
}

function required(config: DatastoreConfig, option: string): string {
  const value = config.opts[option]
  if (value) return value
  throw new ConfigError([`datastore ${config.id}: opts.${option} is missing`])
}
