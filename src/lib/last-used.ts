import { LRUCache } from 'lru-cache'

/**
 * Keeps the `most` entries that were used last; `dispose` hears of each that goes. Its memory grows with what is in it: by its
 * own limit (`max`) the library would make room for all entries at once, some 40 bytes for each.
 */
export function lastUsed<Value extends {}>(
  most: number,
  { dispose }: { readonly dispose?: (value: Value, key: string) => void } = {},
): LRUCache<string, Value> {
  return new LRUCache({ maxSize: most, sizeCalculation: () => 1, ...(dispose && { dispose }) })
}
