/** A bucket as datastore, on whatever S3 server, to be looked at from outside. */
import { readdir } from 'node:fs/promises'
import { type S3Options, readS3Options } from '../../src/config/s3-options.ts'
import type { Datastore } from '../../src/datastores/datastore.ts'
import { USUAL_PATIENCE, type S3Patience } from '../../src/datastores/s3/bucket.ts'
import { openS3Datastore } from '../../src/datastores/s3/s3.ts'
import { temporaryFolder } from '../support/folder.ts'
import { type LogLine, recordingLog } from '../support/log.ts'

export interface OpenedBucket extends AsyncDisposable {
  readonly datastore: Datastore
  /** Names of what was received and is not put. */
  readonly staged: () => Promise<string[]>
  /** Connections to the server that a request is using. */
  readonly handles: () => number
  /** The calls that were counted. */
  readonly called: string[]
  /** The log so far. */
  readonly lines: readonly LogLine[]
}

export interface BucketSettings {
  readonly options: Readonly<Record<string, string>>
  readonly port: number
  readonly patience?: Partial<S3Patience>
  readonly now?: () => number
  /** The key of whoever encrypted its objects. */
  readonly customerKey?: string
}

/** What tests have patience for: enough under load, and little where a fault makes them wait. */
export const SHORT_PATIENCE: Partial<S3Patience> = { backoffMs: 5, backoffAtMostMs: 20 }

export async function openTestBucket(settings: BucketSettings): Promise<OpenedBucket> {
  await using cleanup = new AsyncDisposableStack()
  const { path } = cleanup.use(await temporaryFolder())
  const { log, lines } = recordingLog()
  const called: string[] = []
  let keys = 0
  const datastore = cleanup.use(
    await openS3Datastore(
      {
        id: 'bucket',
        kinds: new Set(['local_media']),
        options: { ...optionsOf(settings.options), ...(settings.customerKey && { customerKey: settings.customerKey }) },
      },
      {
        now: settings.now ?? (() => Date.now()),
        random: () => 0.5,
        newKey: () => `key${String(++keys).padStart(37, '0')}`,
        stagingFolder: path,
        log,
        called: (operation) => void called.push(operation),
        patience: { ...USUAL_PATIENCE, ...SHORT_PATIENCE, ...settings.patience },
      },
    ),
  )
  const owned = cleanup.move()
  return {
    datastore,
    called,
    lines,
    staged: () => readdir(`${path}/cellarium-bucket`),
    handles: () => busyConnections(settings.port),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export function optionsOf(written: Readonly<Record<string, string>>): S3Options {
  const read = readS3Options(written)
  if ('problems' in read) throw new Error(JSON.stringify(read.problems))
  return read
}

/** Of this process, to the port: those that wait for their next request aside. Node keeps no public list of them. */
function busyConnections(port: number): number {
  const list: unknown = Reflect.get(process, '_getActiveHandles')
  const handles: readonly object[] = typeof list === 'function' ? list.call(process) : []
  const sockets = handles.filter((handle) => Reflect.get(handle, 'remotePort') === port)
  return sockets.filter((socket) => Reflect.get(socket, '_httpMessage')).length
}
