import { fileNameIn, headerText } from '../matrix/remote-file-name.ts'
import type { Source } from './preview.ts'
import { tidy } from './text.ts'

/** What a file is called: by its `Content-Disposition` header, else by the last part of its address, else after its host. */
export function fileNameOf({ headers, url }: Pick<Source, 'headers' | 'url'>): string {
  const [disposition] = [headers['content-disposition'] ?? []].flat()
  const given = disposition === undefined ? null : fileNameIn(headerText(disposition))
  return tidy(given ?? lastPart(url)) || url.host
}

function lastPart({ pathname }: URL): string {
  const parts = pathname.split('/').filter((part) => part !== '')
  return decoded(parts.at(-1) ?? '')
}

/** As it was meant, if that is text; else as it is. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
