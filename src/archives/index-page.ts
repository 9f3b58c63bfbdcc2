import { bytes, count } from '../lib/amounts.ts'
import { PAGE_POLICY, PAGE_TAIL, pageHead, shownName, shownTime } from '../lib/html-page.ts'
import { isPicture } from '../lib/inline-types.ts'
import { formatMxc } from '../matrix/ids.ts'
import type { ArchivedFile } from './manifest.ts'
import { isHarmlessFile } from './names.ts'
import type { LeftOut } from './part.ts'

/** Why media are missing, as people read it. */
export const LEFT_OUT_WORDS: Readonly<Record<LeftOut, string>> = {
  quarantined: 'quarantined by the administrators',
  missing: 'lost on the server',
  damaged: 'damaged on the server',
}

/** Of files, `'self'` is nothing to some browsers. */
const POLICY = `${PAGE_POLICY.replace("'self'", "'self' file:")}; form-action 'none'`

/** What a browser can show. */
const MOST_LISTED = 100_000

/** The page that lies beside the unpacked files: one line each, with a link to it, as far as browsers can bear it. In pieces. */
export async function* indexPage(
  { entity, createdAt }: { readonly entity: string; readonly createdAt: number },
  files: AsyncIterable<ArchivedFile>,
  leftOut: Readonly<Partial<Record<LeftOut, number>>>,
): AsyncGenerator<string> {
  yield pageHead({ title: 'Media of', of: entity, policy: POLICY })
  yield `<p>Exported on ${shownTime(createdAt)}. Unpack every part into this folder, and the links lead to the files. What might run when a browser opens it has no link.</p>
${leftOutNote(leftOut)}<ul class="media" role="list">
`
  let number = 0
  for await (const file of files) if (++number <= MOST_LISTED) yield item(file)
  yield `</ul>\n${moreNote(number - MOST_LISTED)}${PAGE_TAIL}`
}

const moreNote = (more: number) =>
  more > 0
    ? `<p>${count(more)} more are in this archive: <a href="./manifest.json">manifest.json</a> names all.</p>\n`
    : ''

function item(file: ArchivedFile): string {
  const { fileName, contentType } = file
  // `./`: a name with a port in it would be taken for a scheme.
  const address = `./${encodeURIComponent(fileName)}`
  const picture = isPicture(contentType) ? address : undefined
  if (isHarmlessFile(fileName, file)) return mediaItem(file, { link: address, picture })
  return mediaItem(file, { picture, note: `In this folder as ${shownName(fileName)}` })
}

export type ListedMedia = Pick<ArchivedFile, 'origin' | 'mediaId' | 'name' | 'size' | 'createdAt'>

export interface Leading {
  /** Address of the file; absent: it is not to be had. */
  readonly link?: string | undefined
  /** Address of a picture of it. */
  readonly picture?: string | undefined
  /** What to say where there is no link, in HTML. */
  readonly note?: string | undefined
}

/** A media in a list of them (`class="media"`), in HTML. */
export function mediaItem(media: ListedMedia, { link, picture, note }: Leading): string {
  const name = media.name === '' ? '(no name)' : shownName(media.name)
  const shown = picture === undefined ? '' : `<img src="${picture}" alt="" loading="lazy">`
  const linked = link === undefined ? name : `<a href="${link}">${name}</a>`
  const noted = note === undefined ? '' : `<small>${note}</small>`
  const facts = `<small>${bytes(media.size)} · ${shownTime(media.createdAt)}</small><small>${shownName(formatMxc(media))}</small>`
  return `<li><span class="picture">${shown}</span><div>${linked}${noted}${facts}</div></li>\n`
}

/** Says how many media are not in the archive, and why; nothing, where all are. */
export function leftOutNote(leftOut: Readonly<Partial<Record<LeftOut, number>>>): string {
  const said = (Object.keys(LEFT_OUT_WORDS) as LeftOut[]).flatMap((reason) => {
    const count = leftOut[reason] ?? 0
    return count === 0 ? [] : [`${count} ${LEFT_OUT_WORDS[reason]}`]
  })
  return said.length === 0 ? '' : `<p>Not in this archive: ${said.join(', ')}.</p>\n`
}
