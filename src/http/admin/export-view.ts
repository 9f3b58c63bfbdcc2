import { Refused } from '../../lib/errors.ts'
import { isPicture } from '../../lib/inline-types.ts'
import {
  countExported,
  exportableMedia,
  exportedMedia,
  type NumberedMedia,
  quarantinedNumbers,
} from '../../db/export-media.ts'
import { exportParts } from '../../db/exports.ts'
import type { StoredObject } from '../../db/objects.ts'
import { openObject } from '../../media/download.ts'
import { exportOf, orderDeletion } from '../../media/exports/order.ts'
import { getThumbnail, openThumbnail } from '../../thumbnails/get.ts'
import type { AskedThumbnail } from '../../thumbnails/plan.ts'
import type { FileAnswer, PageAnswer } from '../answers.ts'
import type { Call } from '../call.ts'
import { described } from '../described.ts'
import { watching } from '../download.ts'
import { dispositionOf } from '../headers.ts'
import { whole } from '../parameters.ts'
import type { HttpParts } from '../parts.ts'
import { exportPath } from './exports.ts'
import { actorOf } from './moderator.ts'

const chapter = 'Exports'
const PAGE = 50
/** Twice as many pixels as the page shows: most screens are that fine. */
const PICTURE: AskedThumbnail = { width: 256, height: 192, method: 'scale', animated: false }
/** The export may be deleted at any moment, and nothing of it is to be left on the way. */
const CACHE_CONTROL = 'private, no-store'
const DELETED = 'It was deleted on the server since; the files of the export have it still'
const page = { type: 'string', description: 'a page for people, which works without scripts.' }

/** MMR's, of which pictures, pages and deletion are ours. */
export const view = described(
  {
    summary:
      'Shows an export to people: its files to download, its media with their pictures, and a button that deletes it',
    details:
      'Here, and where this page leads to, browsers (`Accept: text/html…`) are told refusals by a page in place of JSON.',
    chapter,
    path: exportPath,
    query: { from: whole({ description: 'Behind which media the list begins.', fallback: 0 }) },
    answer: page,
    answerType: 'text/html',
    refusals: ['not_found'],
  },
  async (parts, call, { path: { exportId }, query: { from } }): Promise<PageAnswer> => {
    const found = await exportOf(parts, exportId)
    const { read } = parts.db
    const media = await exportedMedia(read, { exportId, after: from, limit: PAGE })
    const last = media.at(-1)?.number ?? from
    const [files, counts, quarantined] = await Promise.all([
      exportParts(read, exportId),
      countExported(read, exportId),
      quarantinedNumbers(read, exportId, { from: from + 1, to: last }),
    ])
    const { exportPage } = await import('./export-page.ts')
    const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
    const next = last < total ? last : undefined
    const before = from === 0 ? undefined : Math.max(0, from - PAGE)
    const thumbnailTypes = call.homeserver.thumbnails.types
    return exportPage({ found, files, counts, media, quarantined, thumbnailTypes, next, before })
  },
)

const filePath = { ...exportPath, number: whole({ description: 'Its place in the export.', min: 1 }) }
const bytes = { type: 'string', description: 'the file.' }

/** Ours: what the links of the page lead to. */
export const file = described(
  {
    summary: 'Downloads one media of an export',
    chapter,
    path: filePath,
    answer: bytes,
    answerType: 'application/octet-stream',
    refusals: ['not_found', 'quarantined', 'range_not_satisfiable'],
  },
  async (parts, call, { path }): Promise<FileAnswer> => fileAnswer(parts, call, await openToAll(parts, path)),
)

/** Ours: the pictures of the page. The files themselves may be a hundred megabytes to somebody who only looks. */
export const picture = described(
  {
    summary: 'Shows one media of an export as a small picture',
    chapter,
    path: filePath,
    answer: bytes,
    answerType: 'application/octet-stream',
    refusals: [
      'not_found',
      'quarantined',
      'range_not_satisfiable',
      'not_thumbnailable',
      'too_large',
      'remote_too_large',
    ],
  },
  async (parts, call, { path }): Promise<FileAnswer> => {
    const held = await openToAll(parts, path)
    try {
      return await pictureAnswer(parts, call, held)
    } catch (error) {
      // Small drawings, and what the configuration makes no thumbnails of: browsers show it as it is.
      if (isNotThumbnailable(error) && isPicture(held.media.contentType)) return fileAnswer(parts, call, held)
      throw error
    }
  },
)

/** A media of an export that is here still. */
interface Held {
  readonly media: NumberedMedia
  readonly object: StoredObject
  readonly mayStill: NonNullable<FileAnswer['mayStill']>
}

/** @throws {Refused} `not_found`, `quarantined` */
async function openToAll(
  parts: HttpParts,
  { exportId, number }: { readonly exportId: string; readonly number: number },
): Promise<Held> {
  await exportOf(parts, exportId)
  const { read } = parts.db
  const [media] = await exportedMedia(read, { exportId, after: number - 1, limit: 1 })
  if (!media || media.number !== number || media.fileName === '') {
    throw new Refused('not_found', 'There is no such media in the export')
  }
  const mayStill = watching(parts, media)
  const [now] = await exportableMedia(read, [media])
  if (now?.object.sha256 !== media.sha256) throw new Refused('not_found', DELETED)
  if (now.isQuarantined) throw new Refused('quarantined', 'It was quarantined since')
  return { media, object: now.object, mayStill }
}

function fileAnswer(parts: HttpParts, call: Call, { media, object, mayStill }: Held): FileAnswer {
  return {
    kind: 'file',
    size: object.size,
    tag: media.sha256,
    contentType: media.contentType,
    disposition: dispositionOf(media.contentType),
    fileName: media.name === '' ? null : media.name,
    cacheControl: CACHE_CONTROL,
    mayStill,
    open: (part) => openObject(parts, call, object, part),
    openRangeBytes: 0,
  }
}

async function pictureAnswer(parts: HttpParts, call: Call, { media, mayStill }: Held): Promise<FileAnswer> {
  const record = await parts.records.find(media.origin, media.mediaId)
  if (record?.sha256 !== media.sha256) throw new Refused('not_found', DELETED)
  const made = await getThumbnail(parts, call, record, PICTURE)
  return {
    kind: 'file',
    size: made.size,
    tag: made.sha256,
    contentType: made.contentType,
    disposition: 'inline',
    fileName: null,
    cacheControl: CACHE_CONTROL,
    mayStill,
    open: (part) => openThumbnail({ ...parts, opening: parts }, call, { media: record, asked: PICTURE, made }, part),
    openRangeBytes: 0,
  }
}

const isNotThumbnailable = (error: unknown) => error instanceof Refused && error.reason === 'not_thumbnailable'

/** Ours: a page's form cannot ask with DELETE. MMR's page asks for this, and MMR does not have it. */
export const removeFromPage = described(
  {
    summary: 'Deletes an export, for the button of its page',
    chapter,
    path: exportPath,
    answer: page,
    answerType: 'text/html',
    refusals: ['not_found'],
  },
  async (parts, call, { path: { exportId } }): Promise<PageAnswer> => {
    const { entity } = await exportOf(parts, exportId)
    await orderDeletion(parts, actorOf(call), exportId)
    return (await import('./export-page.ts')).deletedPage(entity)
  },
)
