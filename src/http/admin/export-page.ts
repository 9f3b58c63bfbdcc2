import { leftOutNote, LEFT_OUT_WORDS, mediaItem } from '../../archives/index-page.ts'
import type { LeftOut } from '../../archives/part.ts'
import type { NumberedMedia } from '../../db/export-media.ts'
import type { ArchivePart, Export } from '../../db/exports.ts'
import { bytes, count } from '../../lib/amounts.ts'
import { shownName, shownTime } from '../../lib/html-page.ts'
import { isPicture } from '../../lib/inline-types.ts'
import type { PageAnswer } from '../answers.ts'
import { pageAnswer } from '../pages.ts'

interface Shown {
  readonly found: Export
  readonly files: readonly ArchivePart[]
  readonly counts: ReadonlyMap<string, number>
  readonly media: readonly NumberedMedia[]
  /** Numbers of media that were quarantined since. */
  readonly quarantined: ReadonlySet<number>
  /** Types of files that the server makes thumbnails of. */
  readonly thumbnailTypes: readonly string[]
  readonly next: number | undefined
  readonly before: number | undefined
}

export function exportPage(shown: Shown): PageAnswer {
  const { found, files, counts, media } = shown
  const leftOut = Object.fromEntries([...counts].filter(([why]) => why !== '')) as Partial<Record<LeftOut, number>>
  const pages = navigation(shown)
  return page(
    found.entity,
    `<p>Begun on ${shownTime(found.createdAt)}. ${stateOf(found)} ${count(counts.get('') ?? 0)} media.</p>
${leftOutNote(leftOut)}<h2>Files to download</h2>
${fileList(files)}<h2>Media</h2>
${pages}<ul class="media" role="list">
${media.map((one) => mediaRow(one, shown)).join('')}</ul>
${pages}<h2>Deleting</h2>
<p>Whoever knows the address of this page may have all of this.</p>
<details><summary>Delete this export</summary><form method="post" action="delete"><p>Its files are deleted for everybody, and at once. The media themselves stay on the server.</p><button>Delete it for good</button></form></details>
`,
  )
}

export const deletedPage = (entity: string): PageAnswer =>
  page(entity, '<p>It is deleted. The media themselves are still on the server.</p>\n')

const page = (of: string, body: string): PageAnswer => pageAnswer({ title: 'Export of', of }, body)

function stateOf({ finishedAt, expiresAt }: Export): string {
  if (finishedAt === null) return 'It is not finished yet: more files will come. Load this page again to see them.'
  return expiresAt === null ? 'It is complete.' : `It is complete, and will be deleted on ${shownTime(expiresAt)}.`
}

function fileList(files: readonly ArchivePart[]): string {
  if (files.length === 0) return '<p>None yet.</p>\n'
  return `<p>All media are in these files. Unpack every one of them into one folder, and open index.html there.</p>
<ul>${files.map(fileRow).join('')}</ul>
`
}

/** Without `download`: where a file is refused, browsers would keep to themselves why. */
const fileRow = ({ part, fileName, size }: ArchivePart) =>
  `<li><a href="part/${part}">${shownName(fileName)}</a> (${bytes(size)})</li>`

function navigation({ before, next, media, counts }: Shown): string {
  if (before === undefined && next === undefined) return ''
  const total = [...counts.values()].reduce((sum, some) => sum + some, 0)
  const [first, last] = [media.at(0)?.number ?? 0, media.at(-1)?.number ?? 0]
  const links = [
    ...(before === undefined ? [] : [`<a rel="prev" href="view?from=${before}">Earlier media</a>`]),
    ...(next === undefined ? [] : [`<a rel="next" href="view?from=${next}">Later media</a>`]),
  ]
  return `<nav aria-label="Pages of media">${links.join(' ')} ${count(first)} to ${count(last)} of ${count(total)}</nav>\n`
}

function mediaRow(media: NumberedMedia, { quarantined, thumbnailTypes }: Shown): string {
  const { number, contentType, leftOut } = media
  const isQuarantined = leftOut === '' && quarantined.has(number)
  const why = isQuarantined ? LEFT_OUT_WORDS.quarantined : LEFT_OUT_WORDS[leftOut as LeftOut]
  if (why !== undefined) return mediaItem(media, { note: `Not here: ${why}` })
  const hasPicture = isPicture(contentType) || thumbnailTypes.includes(contentType)
  return mediaItem(media, { link: `file/${number}`, picture: hasPicture ? `file/${number}/picture` : undefined })
}
