/** Compares the answers of two servers, value by value, as `path: theirs → ours`. */

/** Makes what differs by its nature the same: ids by the names they were given, times, sentences. */
export function normalised(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (typeof value === 'string') return withNames(value, names)
  if (Array.isArray(value)) return value.map((one) => normalised(one, names))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [
        key,
        isTime(key, one) ? 'a time' : key === 'error' ? 'a sentence' : normalised(one, names),
      ]),
  )
}

const isTime = (key: string, value: unknown) => key.endsWith('_ts') && typeof value === 'number'

function withNames(text: string, names: ReadonlyMap<string, string>): string {
  let named = text
  for (const [id, name] of names) named = named.replaceAll(id, name)
  return named
}

/** Every value that is not the same in both. */
export function differences(theirs: unknown, ours: unknown, path: string): string[] {
  if (isTree(theirs) && isTree(ours)) {
    const keys = new Set([...Object.keys(theirs), ...Object.keys(ours)])
    return [...keys].flatMap((key) => differences(theirs[key], ours[key], `${path}.${key}`))
  }
  const [before, after] = [theirs, ours].map((value) => JSON.stringify(value) ?? 'absent')
  return before === after ? [] : [`${path}: ${before} → ${after}`]
}

function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
