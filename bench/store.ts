/** Where a stage keeps its files. */
import { startVersitygw, type Versitygw } from '../test/support/versitygw.ts'

export type Store = 'folder' | 'bucket'

/** What titles add. */
export const STORES: Readonly<Record<Store, string>> = { folder: '', bucket: ', into S3' }

export interface OpenStore extends AsyncDisposable {
  /** What to configure. */
  readonly config: Readonly<Record<string, unknown>>
  readonly bucket?: Versitygw
}

/** The stage's own folder, or the bucket of an S3 server (versitygw), which runs on the load generator's core. */
export async function openStore(store: Store): Promise<OpenStore> {
  if (store === 'folder') return { config: {}, async [Symbol.asyncDispose]() {} }
  const bucket = await startVersitygw()
  return {
    bucket,
    config: { datastores: [{ type: 's3', id: 'bucket', forKinds: ['all'], opts: bucket.options }] },
    [Symbol.asyncDispose]: () => bucket[Symbol.asyncDispose](),
  }
}
