import { createHash } from 'node:crypto'
import { escapeUTF8 } from 'entities'
import { leftOutNote, LEFT_OUT_WORDS } from '../../archives/index-page.ts'
import type { LeftOut } from '../../archives/part.ts'
import type { NumberedMedia } from '../../db/export-media.ts'
import type { ArchivePart, Export } from '../../db/exports.ts'
import { inlineType } from '../../lib/inline-types.ts'
import { formatMxc } from '../../matrix/ids.ts'
import type { PageAnswer } from '../answers.ts'

const STYLE = `body{font:16px/1.5 sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;padding:.4rem;text-align:left;word-break:break-word}
img{max-height:6rem;max-width:8rem}small{color:#555;display:block}nav{margin:1rem 0}button{font:inherit}`
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

/** Nothing but our own style and pictures, and a form that asks us. Nobody may put it into a frame, to have the button pressed. */
const POLICY = `default-src 'none'; img-src 'self'; style-src 'sha256-${STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`

interface Shown {
  readonly found: Export
  readonly files: readonly ArchivePart[]
  readonly counts: ReadonlyMap<string, number>
  readonly media: readonly NumberedMedia[]
  /** Numbers of media that were quarantined since. */
  readonly quarantined: ReadonlySet<number>
  readonly next: number | undefined
  readonly before: number | undefined
}

export function exportPage({ found, files, counts, media, quarantined, next, before }: Shown): PageAnswer {
  const leftOut = Object.fromEntries([...counts].filter(([why]) => why !== '')) as Partial<Record<LeftOut, number>>
  return page(
    `Export of ${found.entity}`,
    `<p>Begun on ${time(found.createdAt)}. ${stateOf(found)} ${counts.get('') ?? 0} media.</p>
${leftOutNote(leftOut)}<h2>Files to download</h2>
<ul>${files.map(fileRow).join('')}</ul>
<h2>Media</h2>
${navigation(before, next)}<table><thead><tr><th></th><th>File</th><th>Bytes</th><th>Uploaded</th></tr></thead><tbody>
${media.map((one) => mediaRow(one, quarantined.has(one.number))).join('')}</tbody></table>
${navigation(before, next)}<form method="post" action="delete"><p>Whoever knows the address of this page may have all of this. <button>Delete this export</button></p></form>`,
  )
}

export const deletedPage = (entity: string): PageAnswer => page(`Export of ${entity}`, '<p>It is deleted.</p>')

const page = (title: string, body: string): PageAnswer => ({
  kind: 'page',
  policy: POLICY,
  html: `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeUTF8(title)}</title><style>${STYLE}</style></head><body>
<h1>${escapeUTF8(title)}</h1>
${body}
</body></html>
`,
})

function stateOf({ finishedAt, expiresAt }: Export): string {
  if (finishedAt === null) return 'It is not finished yet: more files will come.'
  return expiresAt === null ? 'It is complete.' : `It is complete, and will be deleted on ${time(expiresAt)}.`
}

const time = (ms: number) => `<time>${new Date(ms).toISOString()}</time>`

const fileRow = ({ part, fileName, size }: ArchivePart) =>
  `<li><a href="part/${part}" download>${escapeUTF8(fileName)}</a> (${size} bytes)</li>`

function navigation(before: number | undefined, next: number | undefined): string {
  const links = [
    ...(before === undefined ? [] : [`<a rel="prev" href="view?from=${before}">Earlier media</a>`]),
    ...(next === undefined ? [] : [`<a rel="next" href="view?from=${next}">Later media</a>`]),
  ]
  return links.length === 0 ? '' : `<nav>${links.join(' · ')}</nav>\n`
}

function mediaRow(media: NumberedMedia, isQuarantined: boolean): string {
  const { number, size, createdAt, contentType, leftOut } = media
  const name = escapeUTF8(media.name === '' ? '(no name)' : media.name)
  const why = leftOut === '' ? (isQuarantined ? LEFT_OUT_WORDS.quarantined : '') : LEFT_OUT_WORDS[leftOut as LeftOut]
  const mxc = `<small>${escapeUTF8(formatMxc(media))}</small>`
  const uploaded = `<td>${size}</td><td>${time(createdAt)}</td>`
  if (why !== '') return `<tr><td></td><td>${name}<small>Not here: ${why}</small>${mxc}</td>${uploaded}</tr>\n`
  const isPicture = inlineType(contentType)?.startsWith('image/') ?? false
  const picture = isPicture ? `<img src="file/${number}" alt="" loading="lazy">` : ''
  return `<tr><td>${picture}</td><td><a href="file/${number}">${name}</a>${mxc}</td>${uploaded}</tr>\n`
}
