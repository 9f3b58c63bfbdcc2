import { copyFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Comparison } from '../in-turn.ts'
import { readSlowly } from '../load/slow-readers.ts'
import { type Peak, peakDuring, residentMib, sharedPeakDuring } from '../memory.ts'
import { photo } from '../pictures.ts'
import { type Aim, type Row, sizeName } from '../row.ts'
import { openStage } from '../stage.ts'
import { openStore, type Store, STORES } from '../store.ts'
import { generate, query, uploadCopies } from './thumbnail.ts'

export const SETTLE_MS = 3000

/** Resident memory of a server that has just started and has nothing to do. */
export function idleMemory({ name, aim }: { readonly name: string; readonly aim: Aim }): Row {
  return {
    name,
    title: 'memory of the idle server',
    unit: 'MiB',
    aim,
    async measure(setting) {
      await using stage = await openStage(setting)
      await pause(SETTLE_MS)
      const value = await residentMib(stage.server.pid)
      return { value, lowest: value, highest: value }
    },
  }
}

export interface UploadMemoryRow {
  readonly name: string
  readonly bytes: number
  readonly connections: number
  readonly store: Store
  readonly aim: Aim
}

/** What uploads at the same time add to the memory of an idle server, at their peak. */
export function uploadMemory({ name, bytes, connections, store, aim }: UploadMemoryRow): Row {
  return {
    name,
    title: `memory added by ${connections} uploads of ${sizeName(bytes)} at once${STORES[store]}`,
    unit: 'MiB',
    aim,
    async measure(setting) {
      await using place = await openStore(store)
      await using stage = await openStage({ ...setting, config: place.config })
      await pause(SETTLE_MS)
      return added(
        await peakDuring(stage.server.pid, () =>
          stage.uploadMany({ bytes, connections, until: { uploads: connections } }),
        ),
      )
    },
  }
}

export interface SlowDownloadMemoryRow {
  readonly name: string
  readonly bytes: number
  readonly readers: number
  readonly store: Store
  readonly aim: Aim
}

const SLOW_SECONDS = 20
export const SLOW_BYTES_PER_SECOND = 4_000_000

/** What slow downloads of one large file add to the memory of a server that has just stored it. */
export function slowDownloadMemory({ name, bytes, readers, store, aim }: SlowDownloadMemoryRow): Row {
  return {
    name,
    title: `memory added by ${readers} slow downloads of ${sizeName(bytes)} at once${STORES[store]}`,
    unit: 'MiB',
    aim,
    async measure(setting) {
      await using place = await openStore(store)
      const uploads = { minBytes: 0, maxPending: 0, maxBytes: bytes }
      await using stage = await openStage({ ...setting, config: { ...place.config, uploads } })
      const path = await stage.upload({ bytes: Buffer.alloc(bytes, '.'), type: 'video/mp4' })
      await pause(SETTLE_MS)
      const { url } = stage.server
      const urls = Array.from({ length: readers }, () => url + path)
      const reading = { urls, headers: stage.headers, bytesPerSecond: SLOW_BYTES_PER_SECOND }
      return added(await peakDuring(stage.server.pid, () => readSlowly({ ...reading, seconds: SLOW_SECONDS })))
    },
  }
}

/** As many workers as a server has by default on this machine. */
const ALL_CORES = '0-1023'
const THUMBNAILS_EACH = 6

export interface ThumbnailMemoryRow {
  readonly name: string
  readonly clients: number
  readonly aim: Aim
}

/** What the server and its workers hold together while clients want thumbnails of large photos, on all cores of the machine. */
export function thumbnailMemory({ name, clients, aim }: ThumbnailMemoryRow): Row {
  return {
    name,
    title: `memory of all processes during ${clients} thumbnails of ${photo.title} at once`,
    unit: 'MiB',
    aim,
    async measure(setting) {
      // A program file of its own, so that the bench's other processes take no share of its pages.
      const node = join(setting.folder, 'node')
      await copyFile(process.execPath, node)
      await using stage = await openStage({ ...setting, cores: ALL_CORES, node })
      const asked = query({ width: 320, height: 240, method: 'scale' })
      const bytes = await photo.make()
      const paths = await uploadCopies(stage, photo, { bytes, count: clients * THUMBNAILS_EACH, query: asked })
      await pause(SETTLE_MS)
      const value = await sharedPeakDuring(stage.server.pid, () => generate(stage, paths, clients))
      return { value, lowest: value, highest: value, note: `${cpus().length} cores` }
    },
  }
}

export function added({ before, most, mostWithChildren }: Peak): Comparison {
  const value = most - before
  const note = `from ${before.toFixed(0)} to ${most.toFixed(0)}, with child processes ${mostWithChildren.toFixed(0)}`
  return { value, lowest: value, highest: value, note }
}
