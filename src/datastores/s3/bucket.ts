import { createHash } from 'node:crypto'
import type * as sdk from '@aws-sdk/client-s3'
import PQueue from 'p-queue'
import type { S3Options } from '../../config/s3-options.ts'
import type { Log } from '../../lib/log.ts'
import { openAgents } from './agents.ts'
import { Service } from './service.ts'

/** The SDK. Imported only where a bucket is configured: it costs a server without one neither time nor memory. */
export type Sdk = typeof sdk

/** How long to wait for a service, in ms. None of these bounds how long a whole transfer may take. */
export interface S3Patience {
  /** For a connection. */
  readonly connectMs: number
  /** For an answer that has no long body before it. */
  readonly answerMs: number
  /** For the next bytes of a body, in either direction, and for the answer after one was sent. */
  readonly idleMs: number
  /** For putting together the parts of a large object, once they are all there. */
  readonly assembleMs: number
  /** So long after the first attempt began, another one is still begun: for reads, and for everything else. */
  readonly retryReadsMs: number
  readonly retryWritesMs: number
  /** Before the second attempt; each further one waits up to twice as long. */
  readonly backoffMs: number
  readonly backoffAtMostMs: number
}

export const USUAL_PATIENCE: S3Patience = {
  connectMs: 5_000,
  answerMs: 15_000,
  idleMs: 30_000,
  assembleMs: 300_000,
  retryReadsMs: 20_000,
  retryWritesMs: 60_000,
  backoffMs: 100,
  backoffAtMostMs: 5_000,
}

export interface BucketParts {
  readonly now: () => number
  /** From 0 to 1. */
  readonly random: () => number
  readonly log: Log
  /** Counts a call, by MMR's names for them. */
  readonly called: (operation: 'PutObject' | 'GetObject' | 'RedirectGetObject' | 'RemoveObject') => void
  readonly patience?: S3Patience
}

/** One bucket and everything that is needed to speak to it. */
export interface Bucket extends AsyncDisposable {
  readonly datastore: string
  readonly sdk: Sdk
  readonly client: sdk.S3Client
  readonly options: S3Options
  readonly patience: S3Patience
  readonly parts: BucketParts
  /** What its calls know of the service together. */
  readonly service: Service
  /** Parts of large objects that are being sent, so that many uploads at once cost no more memory than a few. */
  readonly partsUnderWay: PQueue
  /** The region to sign for. The first refusal that names another one changes it. */
  region: string
}

const PARTS_AT_ONCE = 16
const USUAL_REGION = 'us-east-1'

export async function openBucket(datastore: string, options: S3Options, parts: BucketParts): Promise<Bucket> {
  const loaded = await import('@aws-sdk/client-s3')
  const { patience = USUAL_PATIENCE } = parts
  const requestHandler = { ...openAgents(), connectionTimeout: patience.connectMs }
  const client = new loaded.S3Client({ ...clientConfig(options, () => bucket.region), requestHandler })
  if (options.customerKey !== undefined) sendCustomerKey(client, options.customerKey)
  const bucket: Bucket = {
    datastore,
    sdk: loaded,
    client,
    options,
    patience,
    parts,
    service: new Service(parts.now),
    partsUnderWay: new PQueue({ concurrency: PARTS_AT_ONCE }),
    region: options.region ?? USUAL_REGION,
    async [Symbol.asyncDispose]() {
      bucket.service.close()
      client.destroy()
    },
  }
  return bucket
}

/** Who encrypts with a key of their own sends it with each request. Source: Amazon S3 user guide, "Using SSE-C". */
function sendCustomerKey(client: sdk.S3Client, key: string): void {
  const bytes = Buffer.from(key)
  const headers = {
    'x-amz-server-side-encryption-customer-algorithm': 'AES256',
    'x-amz-server-side-encryption-customer-key': bytes.toString('base64'),
    'x-amz-server-side-encryption-customer-key-md5': createHash('md5').update(bytes).digest('base64'),
  }
  client.middlewareStack.add(
    (next) => async (args) => {
      Object.assign((args.request as { headers: Record<string, string> }).headers, headers)
      return await next(args)
    },
    { step: 'build', name: 'customerKey' },
  )
}

/** Without one the SDK writes to the console, past our log, that it does not try again: we do, and say so. */
const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/**
 * What holds for every provider. Nothing is asked for that only some have: extra checksums (R2, B2 and others refuse them),
 * `Expect: 100-continue`. Retries are ours: the SDK cannot send a stream twice. Time limits too: its own bound whole transfers.
 */
export function clientConfig(options: S3Options, region: () => string): sdk.S3ClientConfig {
  return {
    endpoint: options.endpoint.href,
    region: async () => region(),
    forcePathStyle: options.pathStyle,
    ...(options.credentials ? { credentials: options.credentials } : {}),
    maxAttempts: 1,
    retryMode: 'standard',
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    logger: SILENT,
    // The environment of a server may ask for these; they do not go with an endpoint of one's own.
    useDualstackEndpoint: false,
    useFipsEndpoint: false,
  }
}
