/** A file name to record: without folders and control characters; null where nothing is left of it that is a name. */
export function bareFileName(given: string): string | null {
  // oxlint-disable-next-line no-control-regex -- control characters are what this takes out
  const name = given.replaceAll(/[\u0000-\u001f\u007f]/g, '').replace(/\/+$/, '')
  const base = name.slice(name.lastIndexOf('/') + 1)
  return base === '' || base === '.' || base === '..' ? null : base
}
