import type { Datastore } from '../datastores/datastore.ts'
import { SYNAPSE_FOLDERS } from '../interop/synapse/paths.ts'
import type { ByteSource } from './bytes.ts'

type Bucket = Pick<Datastore, 'uri' | 'open' | 'sizeOf'>

/**
 * Objects of synapse-s3-storage-provider: the path in Synapse's folder behind `prefix`, which it puts before it as it is, without a
 * slash of its own.
 */
export function bucketBytes(bucket: Bucket, prefix: string, { mayAdopt }: { readonly mayAdopt: boolean }): ByteSource {
  return {
    name: `the bucket ${bucket.uri}`,
    async find({ path }) {
      if (path === undefined) return undefined
      const key = prefix + path
      const size = await bucket.sizeOf(key)
      if (size === undefined) return undefined
      return {
        size,
        foreign: mayAdopt ? { uri: bucket.uri, key } : undefined,
        read: () => readWhole(bucket, key),
        async [Symbol.asyncDispose]() {},
      }
    },
    foreignPrefixes: (uri) => (uri === bucket.uri ? SYNAPSE_FOLDERS.map((folder) => `${prefix}${folder}/`) : []),
  }
}

/** All bytes of an object. */
export async function* readWhole(bucket: Pick<Datastore, 'open'>, key: string): AsyncGenerator<Uint8Array> {
  await using opened = await bucket.open(key)
  if (opened.size > 0) yield* opened.read({ start: 0, end: opened.size - 1 })
}
