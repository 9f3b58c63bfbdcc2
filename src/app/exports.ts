import type { MainConfig } from '../config/schema.ts'
import { MediaFolder } from '../exports/media-folder.ts'
import type { SynapseStore } from '../exports/synapse-judge.ts'
import { synapseThumbnails } from '../exports/synapse-thumbnails.ts'
import { type ForeignAddress, openWritableDatabase, type WritableDatabase } from '../interop/foreign-database.ts'
import { someMember, someUploader } from '../interop/synapse/rows.ts'
import { synapseTarget } from '../interop/synapse/write.ts'
import { systemClock } from '../lib/clock.ts'
import { ConfigError, messagesOf } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { serverOf } from '../matrix/ids.ts'
import { openThumbnailPool } from '../thumbnails/pool.ts'
import { findPrograms } from '../thumbnails/programs.ts'
import { refuseOther } from './imports.ts'

/** A Synapse to be filled, and where its things are. */
export interface ExportTo {
  readonly serverName: string
  readonly database: ForeignAddress
  readonly folder: string
  /** It has files also in a bucket. */
  readonly keepsElsewhere: boolean
  /** Copies, even where a link would do. */
  readonly copy: boolean
}

/** @throws {ConfigError} where database or folder cannot be used, or are another homeserver's */
export async function openSynapseStore(parts: AsyncDisposableStack, to: ExportTo): Promise<SynapseStore> {
  const { serverName, keepsElsewhere, copy } = to
  const db = await openSynapse(parts, to)
  try {
    const folder = parts.use(await MediaFolder.open(to.folder, { copy, now: systemClock.now() }))
    return { serverName, db: db.db, target: db.target, folder, keepsElsewhere }
  } catch (cause) {
    const why = messagesOf(cause).join(': ')
    throw new ConfigError([`the media folder ${to.folder} cannot be used: ${why}`], { cause })
  }
}

async function openSynapse(parts: AsyncDisposableStack, { database, serverName }: ExportTo) {
  try {
    const db = parts.use(await openWritableDatabase(database))
    const target = await synapseTarget(db)
    refuseOther(await nameInDatabase(db), { serverName, db })
    return { db, target }
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    throw new ConfigError([messagesOf(cause)[0] ?? String(cause)], { cause })
  }
}

/** Of a fresh Synapse only its users tell. */
async function nameInDatabase(db: WritableDatabase): Promise<string | undefined> {
  return serverOf((await someUploader(db)) ?? (await someMember(db)) ?? '')
}

const TIMEOUT_MS = 120_000

/** Makes Synapse's thumbnails with our decoders, so many at a time, under the limits of the configuration. */
export function openSynapseThumbnails(
  parts: AsyncDisposableStack,
  { main, store, workers, log, signal }: ThumbnailNeeds,
): ReturnType<typeof synapseThumbnails> {
  const { maxSourceBytes, maxPixels, types, stillFrame } = main.thumbnails
  const programs = findPrograms(process.env['PATH'] ?? '', signal).catch(() => ({}))
  const pool = openThumbnailPool({ workers, jobTimeoutMs: TIMEOUT_MS, queueLimit: Infinity, programs, log })
  parts.defer(() => pool.close())
  const settings = { limits: { maxSourceBytes, maxPixels }, types, stillFrame }
  return synapseThumbnails({ pool, folder: store.folder, settings, signal })
}

interface ThumbnailNeeds {
  readonly main: Pick<MainConfig, 'thumbnails'>
  readonly store: SynapseStore
  readonly workers: number
  readonly log: Log
  readonly signal: AbortSignal
}
