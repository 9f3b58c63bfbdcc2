import type { Document, YAMLError } from 'yaml'
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml'
import type { MapNode, Node, Place } from './tree.ts'
import { located, mapNode, mergeMaps } from './tree.ts'

export interface ParsedFile {
  readonly file: string
  readonly tree: MapNode
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
}

/** Aliases can make a small file large ("billion laughs"); no honest configuration has this many values. */
const MOST_NODES = 50_000

interface Reading {
  readonly file: string
  readonly document: Document
  readonly lines: LineCounter
  /** Anchors being expanded, to notice one that contains itself. */
  readonly open: Set<unknown>
  nodes: number
}

/**
 * A configuration file as a tree; syntax errors become problems with their line. The keys `<<` and aliases work as in
 * MMR's parser. Of several documents in one file only the first is read, as MMR does, and a warning says so.
 */
export function parseYaml(file: string, text: string): ParsedFile {
  const lines = new LineCounter()
  const documents = parseAllDocuments(text, { lineCounter: lines, merge: true, prettyErrors: false })
  const [document] = documents
  const empty = mapNode({ file, line: 1 })
  if (document === undefined || !('contents' in document)) return { file, tree: empty, problems: [], warnings: [] }
  if (document.errors.length > 0) {
    return {
      file,
      tree: empty,
      problems: document.errors.map((error) => syntaxProblem(file, lines, error)),
      warnings: [],
    }
  }
  const warnings = documents.length > 1 ? [`${file}: only the first of its ${documents.length} documents is read`] : []
  try {
    const tree = convert({ file, document, lines, open: new Set(), nodes: 0 }, document.contents, { file, line: 1 })
    if (tree.kind === 'map') return { file, tree, problems: [], warnings }
    if (tree.kind === 'scalar' && tree.value === null) return { file, tree: empty, problems: [], warnings }
    return {
      file,
      tree: empty,
      problems: [
        `${file}:1: must be a map of options (key: value), is ${tree.kind === 'list' ? 'a list' : 'a single value'}`,
      ],
      warnings,
    }
  } catch (error) {
    if (!(error instanceof UnusableYaml)) throw error
    return { file, tree: empty, problems: [error.message], warnings }
  }
}

class UnusableYaml extends Error {}

function syntaxProblem(file: string, lines: LineCounter, error: YAMLError): string {
  const { line, col } = lines.linePos(error.pos[0])
  return `${file}:${line}: is not valid YAML: ${error.message} (column ${col})`
}

function convert(reading: Reading, source: unknown, place: Place): Node {
  reading.nodes += 1
  if (reading.nodes > MOST_NODES) throw new UnusableYaml(`${reading.file}: its aliases expand to too many values`)
  if (isAlias(source)) return convertAlias(reading, source.resolve(reading.document), source.source, place)
  if (isMap(source)) return convertMap(reading, source.items, place)
  if (isSeq(source)) {
    return {
      kind: 'list',
      place,
      items: source.items.map((item) => convert(reading, item, placeAt(reading, item, place))),
    }
  }
  return { kind: 'scalar', place, value: isScalar(source) ? scalarValue(source.value, source.source) : null }
}

function convertAlias(reading: Reading, target: unknown, name: string, place: Place): Node {
  if (target === undefined)
    throw new UnusableYaml(located(place, [], `the anchor ${name} is not defined above its use`))
  if (reading.open.has(target)) throw new UnusableYaml(located(place, [], `the anchor ${name} contains itself`))
  reading.open.add(target)
  const node = convert(reading, target, place)
  reading.open.delete(target)
  return node
}

function convertMap(reading: Reading, pairs: readonly { key: unknown; value: unknown }[], place: Place): MapNode {
  let inherited = mapNode(place)
  const own = new Map<string, Node>()
  for (const { key, value } of pairs) {
    const keyPlace = placeAt(reading, key, place)
    const node = convert(reading, value, keyPlace)
    const name = isScalar(key) ? (key.source ?? String(key.value)) : String(key)
    if (name !== '<<') own.set(name, node)
    // The first of several merged maps wins (YAML merge keys), so later ones go underneath.
    else for (const map of node.kind === 'list' ? node.items : [node]) inherited = underneath(inherited, map)
  }
  return mapNode(place, [...inherited.entries, ...own])
}

function underneath(above: MapNode, below: Node): MapNode {
  return below.kind === 'map' ? mergeMaps(mapNode(above.place, below.entries), above) : above
}

/** Numbers whose writing would be lost (leading zeros of a password, twenty digits of a key) stay text. */
function scalarValue(value: unknown, source: string | undefined): string | number | boolean | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'boolean' || typeof value === 'string') return value
  if (typeof value === 'number' && String(value) === source) return value
  return source ?? (typeof value === 'number' ? value : null)
}

function placeAt(reading: Reading, node: unknown, around: Place): Place {
  const range = isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range : undefined
  return range ? { file: reading.file, line: reading.lines.linePos(range[0]).line } : around
}
