/** A file name to record: without folders and control characters; null where nothing is left of it that is a name. */
export function bareFileName(given: string): string | null {
  // oxlint-disable-next-line no-control-regex -- control characters are what this takes out
  const name = given.replaceAll(/[\u0000-\u001f\u007f]/g, '').replace(/\/+$/, '')
  const base = name.slice(name.lastIndexOf('/') + 1)
  return base === '' || base === '.' || base === '..' ? null : base
}

/** As long as the name of an upload may be, in UTF-16 units. */
const LONGEST = 255
const LONGEST_ENDING = 16

/** A name for who gets the file: no longer than one of an upload, its ending kept. Clients and proxies refuse headers that are much longer. */
export function fittingFileName(name: string): string {
  if (name.length <= LONGEST) return name
  const dot = name.lastIndexOf('.')
  const ending = dot > 0 && name.length - dot <= LONGEST_ENDING ? name.slice(dot) : ''
  const begin = name.slice(0, LONGEST - ending.length)
  // Not half of a letter that takes two.
  return (begin.isWellFormed() ? begin : begin.slice(0, -1)) + ending
}
