/** A path of segments below a store, or undefined where one of them could lead out of it: ids in a database are others' words. */
export function storePath(...segments: readonly string[]): string | undefined {
  return segments.every(isPlain) ? segments.join('/') : undefined
}

const isPlain = (segment: string) => segment !== '' && segment !== '.' && segment !== '..' && !/[/\\\0]/.test(segment)
