import type { Draft } from './preview.ts'

/** What clients get: flat, by the names of the specification and of Open Graph. */
export type Preview = Readonly<Record<string, string | number>>

/** A picture that is stored for a preview. */
export interface PictureFacts {
  readonly contentType: string
  /** In pixels, upright; absent where that is not known. */
  readonly width?: number | undefined
  readonly height?: number | undefined
  /** In bytes. */
  readonly size: number
  readonly alt?: string | undefined
}

/** Shortens a text; an empty one stays so. */
export type Shorten = (text: string) => string

/** What depends on the picture: it is stored beside everything else, and answered only while the picture may be had. */
const OF_PICTURE = ['og:image', 'matrix:image']

const isOfPicture = (name: string) => OF_PICTURE.some((word) => name === word || name.startsWith(`${word}:`))

/** The preview of what was found, without the picture's address. What is empty is left out. */
export function previewOf(
  draft: Draft,
  shorten: { readonly title: Shorten; readonly description: Shorten },
  picture?: PictureFacts,
): Preview {
  const more = [...(draft.more ?? [])].filter(([name]) => !isOfPicture(name))
  return withoutEmpty({
    'og:title': shorten.title(draft.title ?? ''),
    'og:description': shorten.description(draft.description ?? ''),
    'og:site_name': shorten.title(draft.siteName ?? ''),
    'og:type': draft.type,
    'og:url': draft.url,
    ...Object.fromEntries(more),
    ...(picture ? ofPicture(picture) : {}),
  })
}

function ofPicture({ contentType, width, height, size, alt }: PictureFacts) {
  return {
    'og:image:type': contentType,
    'og:image:width': width && Math.round(width),
    'og:image:height': height && Math.round(height),
    'og:image:alt': alt,
    'matrix:image:size': size,
  }
}

function withoutEmpty(all: Readonly<Record<string, string | number | undefined>>): Preview {
  const filled = Object.entries(all).filter(([, value]) => value !== undefined && value !== '' && value !== 0)
  return Object.fromEntries(filled) as Preview
}

/** A stored preview as it is answered: with its picture's address, or without anything about a picture that nobody may have. */
export function answered(stored: Preview, mxc: string | undefined): Preview {
  if (mxc !== undefined) return { ...stored, 'og:image': mxc }
  return Object.fromEntries(Object.entries(stored).filter(([name]) => !isOfPicture(name)))
}
