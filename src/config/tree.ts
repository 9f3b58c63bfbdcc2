/**
 * Configuration files as a tree whose every value knows the file and line that set it, so that a wrong value is blamed on
 * the right file even after merging. YAML's null is kept apart: it means "not set".
 */
export interface Place {
  readonly file: string
  /** 1 for the first line; 0 where there is no line, as for the built-in defaults. */
  readonly line: number
}

export interface MapNode {
  readonly kind: 'map'
  readonly place: Place
  readonly entries: ReadonlyMap<string, Node>
}

export interface ListNode {
  readonly kind: 'list'
  readonly place: Place
  readonly items: readonly Node[]
}

export interface ScalarNode {
  readonly kind: 'scalar'
  readonly place: Place
  readonly value: string | number | boolean | null
}

export type Node = MapNode | ListNode | ScalarNode

export type Path = readonly (string | number)[]

export function mapNode(place: Place, entries: Iterable<readonly [string, Node]> = []): MapNode {
  return { kind: 'map', place, entries: new Map(entries) }
}

/** Values that no file holds, as a tree with one place for all of them. */
export function asTree(values: Readonly<Record<string, unknown>>, place: Place): MapNode {
  return mapNode(
    place,
    Object.entries(values).map(([key, value]) => [key, asNode(value, place)] as const),
  )
}

function asNode(value: unknown, place: Place): Node {
  if (Array.isArray(value)) return { kind: 'list', place, items: value.map((item) => asNode(item, place)) }
  if (typeof value === 'object' && value !== null) return asTree({ ...value }, place)
  const scalar = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null
  return { kind: 'scalar', place, value: scalar }
}

export function isUnset(node: Node | undefined): boolean {
  return node === undefined || (node.kind === 'scalar' && node.value === null)
}

/**
 * One level of configuration over another: maps are merged key by key, lists and scalars replaced, and what is not set
 * (null) leaves the lower level as it is. This is what MMR's manual promises; MMR itself replaces whole sections.
 */
export function merge(base: Node, over: Node): Node {
  if (isUnset(over)) return base
  if (base.kind !== 'map' || over.kind !== 'map') return over
  return mergeMaps(base, over)
}

export function mergeMaps(base: MapNode, over: MapNode): MapNode {
  const entries = new Map(base.entries)
  for (const [key, node] of over.entries) {
    const below = entries.get(key)
    entries.set(key, below === undefined ? node : merge(below, node))
  }
  return { kind: 'map', place: over.place, entries }
}

/** A map with some of its keys, or with other values for them (`undefined` takes a key out). */
export function withEntries(node: MapNode, changes: Readonly<Record<string, Node | undefined>>): MapNode {
  const entries = new Map(node.entries)
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) entries.delete(key)
    else entries.set(key, value)
  }
  return { ...node, entries }
}

/** The tree without anything that is not set, so that defaults apply; items that are null leave their list. */
export function withoutUnset<T extends Node>(node: T): T
export function withoutUnset(node: Node): Node {
  if (node.kind === 'list') {
    return { ...node, items: node.items.filter((item) => !isUnset(item)).map((item) => withoutUnset(item)) }
  }
  if (node.kind === 'scalar') return node
  const set = [...node.entries].filter(([, value]) => !isUnset(value))
  return mapNode(
    node.place,
    set.map(([key, value]) => [key, withoutUnset(value)]),
  )
}

/** The values alone, as the schema takes them. */
export function plain(node: Node): unknown {
  if (node.kind === 'scalar') return node.value
  if (node.kind === 'list') return node.items.map(plain)
  return Object.fromEntries([...node.entries].map(([key, value]) => [key, plain(value)]))
}

/** The node at a path, or undefined. */
export function nodeAt(node: Node, path: Path): Node | undefined {
  let here: Node | undefined = node
  for (const step of path) here = here && child(here, step)
  return here
}

/** Where a path was set; where it was not, the place of the nearest thing around it. */
export function placeOf(node: Node, path: Path): Place {
  let here = node
  for (const step of path) {
    const next = child(here, step)
    if (next === undefined) break
    here = next
  }
  return here.place
}

/** `uploads.quotas.users[0].glob`. */
export function pathName(path: Path): string {
  return path.reduce<string>((name, step) => {
    if (typeof step === 'number') return `${name}[${step}]`
    return name === '' ? step : `${name}.${step}`
  }, '')
}

/** `file:line: path: text`, with what is known of them. */
export function located(place: Place, path: Path, sentence: string): string {
  const where = place.line > 0 ? `${place.file}:${place.line}` : place.file
  const name = pathName(path)
  return name === '' ? `${where}: ${sentence}` : `${where}: ${name}: ${sentence}`
}

function child(node: Node, step: string | number): Node | undefined {
  if (node.kind === 'map') return node.entries.get(String(step))
  return node.kind === 'list' ? node.items[Number(step)] : undefined
}
