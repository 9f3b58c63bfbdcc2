import { escapeUTF8 } from 'entities'
import { formatMxc } from '../matrix/ids.ts'
import type { ArchivedFile } from './manifest.ts'
import type { LeftOut } from './part.ts'

/** Why media are missing, as people read it. */
export const LEFT_OUT_WORDS: Readonly<Record<LeftOut, string>> = {
  quarantined: 'quarantined by the administrators',
  missing: 'lost on the server',
  damaged: 'damaged on the server',
}

const STYLE = `body{font:16px/1.5 sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;padding:.4rem;text-align:left;word-break:break-word}
small{color:#555;display:block}`

/** What a browser can show: 25 MB. */
const MOST_ROWS = 100_000

/** The page that lies beside the unpacked files: one line each, with a link to it, as far as browsers can bear it. In pieces. */
export async function* indexPage(
  { entity, createdAt }: { readonly entity: string; readonly createdAt: number },
  files: AsyncIterable<ArchivedFile>,
  leftOut: Readonly<Partial<Record<LeftOut, number>>>,
): AsyncGenerator<string> {
  const title = `Media of ${escapeUTF8(entity)}`
  yield `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title><style>${STYLE}</style></head><body>
<h1>${title}</h1>
<p>Exported on ${new Date(createdAt).toISOString()}. Unpack every part into this folder, and the links lead to the files.</p>
${leftOutNote(leftOut)}<table><thead><tr><th>File</th><th>Bytes</th><th>Uploaded</th></tr></thead><tbody>
`
  let count = 0
  for await (const file of files) if (++count <= MOST_ROWS) yield row(file)
  yield `</tbody></table>${moreNote(count - MOST_ROWS)}</body></html>\n`
}

const moreNote = (more: number) =>
  more > 0 ? `\n<p>${more} more are in this archive: <a href="./manifest.json">manifest.json</a> names all.</p>` : ''

function row({ fileName, name, size, createdAt, ...mxc }: ArchivedFile): string {
  const shown = name === '' ? '(no name)' : name
  // `./`: a name with a port in it would be taken for a scheme.
  return `<tr><td><a href="./${encodeURIComponent(fileName)}">${escapeUTF8(shown)}</a><small>${escapeUTF8(formatMxc(mxc))}</small></td><td>${size}</td><td>${new Date(createdAt).toISOString()}</td></tr>
`
}

/** Says how many media are not in the archive, and why; nothing, where all are. */
export function leftOutNote(leftOut: Readonly<Partial<Record<LeftOut, number>>>): string {
  const said = (Object.keys(LEFT_OUT_WORDS) as LeftOut[]).flatMap((reason) => {
    const count = leftOut[reason] ?? 0
    return count === 0 ? [] : [`${count} ${LEFT_OUT_WORDS[reason]}`]
  })
  return said.length === 0 ? '' : `<p>Not in this archive: ${said.join(', ')}.</p>\n`
}
