import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { KnownKey } from '../option.ts'
import { anywhere, choice, complain, needed, option, text } from '../option.ts'
import { type OptionProblem, readS3Options } from '../s3-options.ts'

const DATASTORE_KINDS = ['thumbnails', 'remote_media', 'local_media', 'archives', 'all'] as const

const FILE_OPTIONS: Readonly<Record<string, KnownKey>> = {
  path: { description: 'file: the folder.' },
}
const S3_OPTIONS: Readonly<Record<string, KnownKey>> = {
  endpoint: { description: 's3: host of the service, with port where needed: s3.eu-central-1.amazonaws.com.' },
  bucketName: { description: 's3: the bucket; it must exist.' },
  accessKeyId: {
    description:
      's3: access key. Without it and accessSecret: from the environment, a web identity or an instance role.',
    secret: true,
  },
  accessSecret: { description: 's3: secret of the access key.', secret: true },
  sessionToken: { description: 's3: session token of temporary keys.', secret: true },
  region: { description: 's3: region. Empty: from the endpoint or as the service says, else us-east-1.' },
  ssl: { description: 's3: speak https.', default: 'true' },
  storageClass: { description: 's3: storage class of new objects.', default: 'STANDARD' },
  tempPath: { description: 's3: folder for uploads on their way. Empty: staging in the data folder.' },
  publicBaseUrl: {
    description:
      's3: downloads are redirected to this address plus the key: whoever has it keeps it. End it with a slash.',
  },
  redirectWhenCached: { description: 's3: redirect although a cache has the file.', default: 'false' },
  prefixLength: { description: 's3: so many characters of a key, up to 32, come before a slash.', default: '0' },
  multipartUploads: { description: 's3: upload files above 100 MiB in parts, several at once.', default: 'true' },
  presign: { description: 's3: redirect downloads to presigned addresses, good for a minute.', default: 'false' },
  publicEndpoint: { description: 's3: endpoint that clients reach, for presigned addresses. Empty: endpoint.' },
  forcePathStyle: {
    description: 's3: bucket in the path (true) or in the host name (false). Empty: in the host name at AWS only.',
  },
  sse: { description: 's3: server-side encryption to ask for: AES256, aws:kms or aws:kms:dsse.' },
  sseKmsKeyId: { description: 's3: key for aws:kms. Empty: the default one of the account.' },
  federationRedirect: { description: 's3: redirect other servers too; not all of them follow.', default: 'false' },
}
const SHARED_OPTIONS: Readonly<Record<string, KnownKey>> = {
  offload: {
    description:
      'file: let the proxy send the bytes: nginx:/internal/ (X-Accel-Redirect below that path) or sendfile (X-Sendfile).',
  },
}

/** What `datastores/offload.ts` understands. */
const OFFLOADS = /^(sendfile|nginx:\/(.*\/)?)$/

export const datastore = z
  .object({
    type: needed(choice(['file', 's3']), {
      ...anywhere,
      example: 'file',
      description: 'file (a folder) or s3 (a bucket): docs/datastores.md.',
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
    for (const { option: name, problem } of problemsOf(store)) complain(context, ['opts', name], problem)
  })

type Written = { readonly type: string; readonly opts: Readonly<Record<string, string>> }

function problemsOf({ type, opts }: Written): readonly OptionProblem[] {
  if (type === 'file') return fileProblems(opts)
  const read = readS3Options(opts)
  const offload = opts['offload'] ? [{ option: 'offload', problem: 'is for datastores of type file only' }] : []
  return [...('problems' in read ? read.problems : []), ...offload]
}

function fileProblems({ path, offload }: Written['opts']): readonly OptionProblem[] {
  const problems: OptionProblem[] = []
  if (!path) problems.push({ option: 'path', problem: 'is missing; a datastore of type file needs it' })
  if (offload && !OFFLOADS.test(offload)) {
    const problem = `must be sendfile, or nginx: with a path between slashes, not ${JSON.stringify(offload)}`
    problems.push({ option: 'offload', problem })
  }
  return problems
}

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
export function derivedId(store: Written): string {
  const { path = '', endpoint = '', bucketName = '' } = store.opts
  const place = store.type === 'file' ? withoutSlash(path) : `${endpoint}/${bucketName}`
  return createHash('sha256').update(`${store.type}:${place}`).digest('hex').slice(0, 16)
}

function withoutSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path
}
