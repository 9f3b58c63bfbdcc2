const MEDIA_TYPE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*(;[\t\x20-\x7e]*)?$/
const LONGEST_TYPE = 255
export const UNKNOWN_TYPE = 'application/octet-stream'

/** The type to record for a file: what its sender says, as it is, if it is a media type at all (RFC 9110 §8.3.1). */
export function mediaTypeOf(header: string | undefined): string {
  const type = header?.trim() ?? ''
  return type.length <= LONGEST_TYPE && MEDIA_TYPE.test(type) ? type : UNKNOWN_TYPE
}
