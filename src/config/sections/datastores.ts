import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { KnownKey } from '../option.ts'
import { anywhere, choice, complain, needed, option, text } from '../option.ts'

export const DATASTORE_KINDS = ['thumbnails', 'remote_media', 'local_media', 'archives', 'all'] as const

const FILE_OPTIONS: Readonly<Record<string, KnownKey>> = {
  path: { description: 'file: the folder.' },
}
const S3_OPTIONS: Readonly<Record<string, KnownKey>> = {
  endpoint: { description: 's3: host, with port where needed, without https://.', planned: true },
  bucketName: { description: 's3: the bucket; it must exist.', planned: true },
  accessKeyId: { description: 's3: access key.', secret: true, planned: true },
  accessSecret: { description: 's3: secret of the access key.', secret: true, planned: true },
  region: { description: 's3: region, where the provider wants one.', planned: true },
  ssl: { description: 's3: speak https.', default: 'true', planned: true },
  storageClass: { description: 's3: storage class of new objects.', default: 'STANDARD', planned: true },
  tempPath: { description: 's3: folder for uploads on their way.', planned: true },
  publicBaseUrl: {
    description: 's3: downloads are redirected to this address plus the key: whoever has it keeps it.',
    planned: true,
  },
  redirectWhenCached: { description: 's3: redirect although a cache has the file.', default: 'false', planned: true },
  prefixLength: { description: 's3: length of the folder-like prefix of keys.', default: '0', planned: true },
  multipartUploads: { description: 's3: upload large files in parts.', default: 'true', planned: true },
  presign: { description: 's3: redirect downloads to presigned addresses.', default: 'false', planned: true },
  publicEndpoint: { description: 's3: endpoint that clients reach, for presigned addresses.', planned: true },
  forcePathStyle: { description: 's3: bucket in the path, not in the host name.', default: 'false', planned: true },
  sse: { description: 's3: server-side encryption to ask for.', planned: true },
  federationRedirect: { description: 's3: redirect other servers too.', default: 'false', planned: true },
}
const SHARED_OPTIONS: Readonly<Record<string, KnownKey>> = {
  offload: { description: 'file: let the proxy send (nginx:/internal/ or sendfile).', planned: true },
}

export const datastore = z
  .object({
    type: needed(choice(['file', 's3']), {
      ...anywhere,
      example: 'file',
      description: 'file (a folder) or s3 (a bucket; comes in a later version).',
    }),
    id: option(text(), '', {
      ...anywhere,
      example: 'main-media',
      description:
        'Name under which the records refer to it: never change it. Empty: derived from type and place, as for files from MMR 1.2.',
    }),
    forKinds: option(z.array(choice(DATASTORE_KINDS)), [], {
      ...anywhere,
      example: ['all'],
      description: `What new files it takes: ${DATASTORE_KINDS.join(', ')}. Empty: it is only read from.`,
    }),
    opts: option(
      z.record(z.string(), text()),
      {},
      {
        ...anywhere,
        example: { path: '/data/media' },
        known: { ...FILE_OPTIONS, ...S3_OPTIONS, ...SHARED_OPTIONS },
        description: 'Options of the type; numbers and booleans are taken as text.',
      },
    ),
  })
  .superRefine((store, context) => {
    for (const name of store.type === 'file' ? ['path'] : ['endpoint', 'bucketName']) {
      if (!store.opts[name]) complain(context, ['opts', name], `is missing; a datastore of type ${store.type} needs it`)
    }
  })

export const datastores = z
  .array(datastore)
  .superRefine((stores, context) => {
    const ids = stores.map((store) => store.id || derivedId(store))
    for (const [index, id] of ids.entries()) {
      const first = ids.indexOf(id)
      if (first !== index)
        complain(context, [index, 'id'], `${id} is already the id of datastores[${first}]; give it its own`)
    }
  })
  .default([])
  .meta({
    reload: 'live',
    scope: 'any',
    description: 'Where the files are kept. None: a folder named media in the data folder.',
  })

/**
 * The id of a datastore that has none, as in files of MMR 1.2: the beginning of the SHA-256 of `file:PATH` or
 * `s3:ENDPOINT/BUCKET`. It stays the same as long as the place does.
 */
export function derivedId(store: { readonly type: string; readonly opts: Readonly<Record<string, string>> }): string {
  const { path = '', endpoint = '', bucketName = '' } = store.opts
  const place = store.type === 'file' ? withoutSlash(path) : `${endpoint}/${bucketName}`
  return createHash('sha256').update(`${store.type}:${place}`).digest('hex').slice(0, 16)
}

function withoutSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path
}
