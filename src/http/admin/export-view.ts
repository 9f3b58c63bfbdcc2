import { Refused } from '../../lib/errors.ts'
import { countExported, exportableMedia, exportedMedia, quarantinedNumbers } from '../../db/export-media.ts'
import { exportParts } from '../../db/exports.ts'
import { exportOf, orderDeletion } from '../../media/exports/order.ts'
import type { FileAnswer, PageAnswer } from '../answers.ts'
import { described } from '../described.ts'
import { dispositionOf } from '../headers.ts'
import { whole } from '../parameters.ts'
import type { HttpParts } from '../parts.ts'
import { exportPath } from './exports.ts'
import { actorOf } from './moderator.ts'

const chapter = 'Exports'
const PAGE = 50
const page = { type: 'string', description: 'a page for people, which works without scripts.' }

/** MMR's, of which pictures, pages and deletion are ours. */
export const view = described(
  {
    summary:
      'Shows an export to people: its files to download, its media with their pictures, and a button that deletes it',
    chapter,
    path: exportPath,
    query: { from: whole({ description: 'Behind which media the list begins.', fallback: 0 }) },
    answer: page,
    answerType: 'text/html',
    refusals: ['not_found'],
  },
  async (parts, _, { path: { exportId }, query: { from } }): Promise<PageAnswer> => {
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
    return exportPage({ found, files, counts, media, quarantined, next, before })
  },
)

/** Ours: what the pictures and links of the page lead to. */
export const file = described(
  {
    summary: 'Downloads one media of an export',
    chapter,
    path: { ...exportPath, number: whole({ description: 'Its place in the export.', min: 1 }) },
    answer: { type: 'string', description: 'the file.' },
    answerType: 'application/octet-stream',
    refusals: ['not_found', 'quarantined', 'range_not_satisfiable'],
  },
  async (parts, _, { path: { exportId, number } }): Promise<FileAnswer> => {
    await exportOf(parts, exportId)
    const { read } = parts.db
    const [media] = await exportedMedia(read, { exportId, after: number - 1, limit: 1 })
    if (!media || media.number !== number || media.fileName === '') throw new Refused('not_found', 'Not found')
    const [now] = await exportableMedia(read, [media])
    if (now?.object.sha256 !== media.sha256) throw new Refused('not_found', 'Not found')
    if (now.isQuarantined) throw new Refused('quarantined', 'It was quarantined since')
    return mediaAnswer(parts, media, now.object)
  },
)

function mediaAnswer(
  { datastores }: HttpParts,
  media: { readonly contentType: string; readonly name: string; readonly sha256: string },
  object: { readonly datastore: string; readonly location: string; readonly size: number },
): FileAnswer {
  return {
    kind: 'file',
    size: object.size,
    tag: media.sha256,
    contentType: media.contentType,
    disposition: dispositionOf(media.contentType),
    fileName: media.name === '' ? null : media.name,
    cacheControl: 'private, no-store',
    open: async (range) => {
      const datastore = datastores.get(object.datastore)
      if (!datastore) throw new Refused('not_found', 'Not found')
      return await datastore.open(object.location, range)
    },
    openRangeBytes: 0,
  }
}

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
