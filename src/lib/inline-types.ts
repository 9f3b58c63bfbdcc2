/** Types that browsers may show in place; all others are attachments. Source: specification, "Serving inline content". */
const INLINE_TYPES: ReadonlySet<string> = new Set([
  'text/css',
  'text/plain',
  'text/csv',
  'application/json',
  'application/ld+json',
  'image/jpeg',
  'image/gif',
  'image/png',
  'image/apng',
  'image/webp',
  'image/avif',
  'video/mp4',
  'video/webm',
  'video/ogg',
  'video/quicktime',
  'audio/mp4',
  'audio/webm',
  'audio/aac',
  'audio/mpeg',
  'audio/ogg',
  'audio/wave',
  'audio/wav',
  'audio/x-wav',
  'audio/x-pn-wav',
  'audio/flac',
  'audio/x-flac',
])

/** The type and subtype, in lower case and without parameters, if browsers may show it in place; undefined if not. */
export function inlineType(contentType: string): string | undefined {
  const [essence = ''] = contentType.split(';', 1)
  const type = essence.trim().toLowerCase()
  return INLINE_TYPES.has(type) ? type : undefined
}

/** Whether browsers may show it in place, and as a picture. */
export const isPicture = (contentType: string): boolean => inlineType(contentType)?.startsWith('image/') ?? false
