import { editDistance, nearest } from './nearest.ts'
import { homeserverKeys } from './sections/homeservers.ts'
import type { SectionShape, Shape } from './shape.ts'
import { shapeOf } from './shape.ts'
import type { MapNode, Node, Path, Place } from './tree.ts'
import { isUnset, located, mapNode, pathName } from './tree.ts'

/** An option that was set although it does nothing. */
export interface WithoutEffect {
  readonly place: Place
  readonly path: Path
  readonly reason: string
}

export interface KeyFindings {
  /** The file without the keys that it may not set. */
  readonly tree: MapNode
  readonly warnings: readonly string[]
  readonly withoutEffect: readonly WithoutEffect[]
}

/** What a per-domain file may hold: its homeserver's keys at the top, and every option for which the scope is `any`. */
export function domainShape(main: SectionShape): SectionShape {
  const own = Object.entries(homeserverKeys).map(([key, schema]) => [key, shapeOf(schema)] as const)
  const name: Shape = { kind: 'value', type: 'text', description: '', notes: { scope: 'any' }, default: undefined }
  return { ...main, children: new Map([...main.children, ['homeserver', name], ...own]) }
}

/**
 * Checks the keys of one file: unknown ones get a warning with the nearest known key, and so do those that only the main
 * configuration may set when `shape` is that of a per-domain file. Values are not looked at.
 */
export function checkKeys(tree: MapNode, shape: SectionShape, scope: 'main' | 'domain'): KeyFindings {
  const warnings: string[] = []
  const withoutEffect: WithoutEffect[] = []

  function visit(node: Node, here: Shape, path: Path): Node {
    const { noEffect } = here.notes
    if (noEffect !== undefined && !isEmpty(node)) withoutEffect.push({ place: node.place, path, reason: noEffect })
    if (node.kind === 'map' && here.kind === 'section') return visitSection(node, here, path)
    if (node.kind === 'map' && here.kind === 'open') visitOpen(node, here, path)
    if (node.kind !== 'list' || here.kind !== 'list') return node
    return { ...node, items: node.items.map((item, index) => visit(item, here.item, [...path, index])) }
  }

  function visitSection(node: MapNode, here: SectionShape, path: Path): MapNode {
    const kept: [string, Node][] = []
    for (const [key, value] of node.entries) {
      const child = here.children.get(key)
      const where = [...path, key]
      if (child === undefined)
        warnings.push(located(value.place, where, unknownKey(key, path, here.children.keys(), shape)))
      else if (scope === 'domain' && !allowsDomain(child)) {
        warnings.push(
          located(value.place, where, 'is ignored: only the main configuration may set it, no per-domain file'),
        )
      } else kept.push([key, visit(value, child, where)])
    }
    return mapNode(node.place, kept)
  }

  function visitOpen(node: MapNode, here: Shape, path: Path): void {
    const { known } = here.notes
    if (known === undefined) return
    for (const [key, value] of node.entries) {
      const where = [...path, key]
      if (known[key] === undefined)
        warnings.push(located(value.place, where, unknownKey(key, path, Object.keys(known))))
    }
  }

  return { tree: visitSection(tree, shape, []), warnings, withoutEffect }
}

function unknownKey(key: string, path: Path, siblings: Iterable<string>, root?: SectionShape): string {
  const elsewhere = root && pathsTo(key, root).find((found) => !found.includes('[]'))
  const sibling = nearest(key, siblings)
  const suggestion = sibling !== undefined && looksLike(key, sibling) ? pathName([...path, sibling]) : elsewhere
  return `is not a known option and has no effect${suggestion === undefined ? '' : `; the nearest is ${suggestion}`}`
}

function looksLike(word: string, other: string): boolean {
  return editDistance(word.toLowerCase(), other.toLowerCase()) <= word.length / 2
}

function pathsTo(key: string, shape: Shape, name = ''): string[] {
  if (shape.kind !== 'section') return []
  return [...shape.children].flatMap(([child, inner]) => {
    const path = name === '' ? child : `${name}.${child}`
    return [...(child === key ? [path] : []), ...pathsTo(key, inner, path)]
  })
}

/** A section may be in a per-domain file when something in it may. */
function allowsDomain(shape: Shape): boolean {
  return shape.kind === 'section' ? [...shape.children.values()].some(allowsDomain) : shape.notes.scope === 'any'
}

function isEmpty(node: Node): boolean {
  if (node.kind === 'map') return node.entries.size === 0
  return node.kind === 'list' ? node.items.length === 0 : isUnset(node)
}
