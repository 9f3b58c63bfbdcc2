import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { DatastoreConfig } from './schema.ts'
import { derivedId } from './sections/datastores.ts'
import type { Node } from './tree.ts'
import { located, placeOf } from './tree.ts'

/** Where media go when no datastore is named: the folder `media` in the data folder. */
function defaultDatastore(dataPath: string): DatastoreConfig {
  return { type: 'file', id: 'media', forKinds: ['all'], opts: { path: join(dataPath, 'media') } }
}

/** The datastores with an id each; none at all becomes the default one. */
export function completeDatastores(stores: readonly DatastoreConfig[], dataPath: string): readonly DatastoreConfig[] {
  if (stores.length === 0) return [defaultDatastore(dataPath)]
  return stores.map((store) => (store.id === '' ? { ...store, id: derivedId(store) } : store))
}

/**
 * Adds datastores to the registry of all homeservers; gives the problems. The records know a datastore by its id alone, so
 * an id whose type or options differ from those already registered is one. (What it is used for may differ.)
 */
export function register(
  registry: Map<string, DatastoreConfig>,
  stores: readonly DatastoreConfig[],
  tree: Node,
): string[] {
  return stores.flatMap((store, index) => {
    const known = registry.get(store.id)
    if (known === undefined) registry.set(store.id, store)
    if (known === undefined || (known.type === store.type && isDeepStrictEqual(known.opts, store.opts))) return []
    const path = ['datastores', index, 'id']
    const sentence = `${store.id} is already the id of a datastore with another ${differences(known, store)}; give it its own`
    return [located(placeOf(tree, path), path, sentence)]
  })
}

/** Names of what differs; the values may be secrets. */
function differences(one: DatastoreConfig, other: DatastoreConfig): string {
  const names = new Set([...Object.keys(one.opts), ...Object.keys(other.opts)])
  const options = [...names].filter((name) => one.opts[name] !== other.opts[name]).map((name) => `opts.${name}`)
  return (one.type === other.type ? options : ['type', ...options]).join(', ')
}
