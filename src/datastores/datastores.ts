import { ConfigError, Refused } from '../lib/errors.ts'
import { type Datastore, ObjectMissing, type OpenObject, type StoredKind } from './datastore.ts'
import { type FileDatastoreParts, openFileDatastore } from './file.ts'

/** A datastore as the configuration names it. */
export interface DatastoreConfig {
  readonly type: string
  readonly id: string
  readonly forKinds: readonly string[]
  readonly opts: Readonly<Record<string, string | undefined>>
}

const KINDS: readonly StoredKind[] = ['thumbnails', 'remote_media', 'local_media', 'archives']

/** Where an object is: a datastore's id, and its location there. */
export interface Place {
  readonly datastore: string
  readonly location: string
}

/** Every datastore of every homeserver, by id. */
export class Datastores implements AsyncDisposable {
  readonly #byId: ReadonlyMap<string, Datastore>

  constructor(all: Iterable<Datastore>) {
    this.#byId = new Map([...all].map((datastore) => [datastore.id, datastore]))
  }

  get all(): Iterable<Datastore> {
    return this.#byId.values()
  }

  /** The datastore for a new object of `kind`, among those the homeserver may use. */
  choose(kind: StoredKind, usable: readonly { readonly id: string }[]): Datastore {
    for (const { id } of usable) {
      const datastore = this.#byId.get(id)
      if (datastore?.kinds.has(kind)) return datastore
    }
    throw new Refused('storage_unavailable', `no datastore is configured for ${kind} (datastores[].forKinds)`)
  }

  async open(place: Place): Promise<OpenObject> {
    return await this.#at(place).open(place.location)
  }

  async has(place: Place): Promise<boolean> {
    return (await this.#byId.get(place.datastore)?.has(place.location)) ?? false
  }

  async delete(place: Place): Promise<void> {
    await this.#at(place).delete(place.location)
  }

  #at(place: Place): Datastore {
    const datastore = this.#byId.get(place.datastore)
    if (datastore) return datastore
    throw new ObjectMissing(place.datastore, place.location, {
      cause: new Error(`no datastore with the id ${place.datastore} is configured`),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#byId.values()].map((datastore) => datastore[Symbol.asyncDispose]()))
  }
}

/** Opens every configured datastore. */
export async function openDatastores(
  configured: readonly DatastoreConfig[],
  parts: FileDatastoreParts,
): Promise<Datastores> {
  return new Datastores(await Promise.all(configured.map((one) => openDatastore(one, parts))))
}

/** The registry: a new type of datastore is one file and one line here. */
async function openDatastore(config: DatastoreConfig, parts: FileDatastoreParts): Promise<Datastore> {
  const kinds = new Set(KINDS.filter((kind) => config.forKinds.includes(kind) || config.forKinds.includes('all')))
  switch (config.type) {
    case 'file':
      return await openFileDatastore({ id: config.id, kinds, path: required(config, 'path') }, parts)
    default:
      throw new ConfigError([`datastore ${config.id}: type ${config.type} is not one of: file`])
  }
}

function required(config: DatastoreConfig, option: string): string {
  const value = config.opts[option]
  if (value) return value
  throw new ConfigError([`datastore ${config.id}: opts.${option} is missing`])
}
