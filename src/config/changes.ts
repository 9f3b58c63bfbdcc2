import { isDeepStrictEqual } from 'node:util'
import { mainSchema } from './schema.ts'
import type { Shape } from './shape.ts'
import { mainShape } from './shape.ts'
import type { SnapshotData } from './snapshot.ts'

/** Names of the options that differ between two configurations; never their values. */
export interface Changes {
  /** Followed at once. */
  readonly live: readonly string[]
  /** Followed only after a restart. */
  readonly restart: readonly string[]
}

/** What a reload changed, and which of it needs a restart. Options changed for one homeserver only are named with it. */
export function changesBetween(previous: SnapshotData, next: SnapshotData): Changes {
  const changed = new Map<string, 'live' | 'restart'>()
  const note = (prefix: string) => (path: string, reload: 'live' | 'restart') => changed.set(prefix + path, reload)
  const shape = mainShape()
  compare(previous.main, next.main, shape, '', note(''))
  for (const [name, [before, after]] of pairs(previous, next)) {
    if (before === undefined || after === undefined) changed.set(`homeservers (${name})`, 'live')
    else
      compareHomeserver(before, after, shape, (path, reload) => !changed.has(path) && note(`${name}: `)(path, reload))
  }
  const of = (reload: string) => [...changed].filter(([, kind]) => kind === reload).map(([path]) => path)
  return { live: of('live'), restart: of('restart') }
}

type Note = (path: string, reload: 'live' | 'restart') => void

function compare(before: unknown, after: unknown, shape: Shape, path: string, note: Note): void {
  if (Object.is(before, after)) return
  if (shape.kind !== 'section') {
    if (!isDeepStrictEqual(before, after)) note(path, shape.notes.reload ?? 'live')
    return
  }
  for (const [key, child] of shape.children) {
    compare(member(before, key), member(after, key), child, path === '' ? key : `${path}.${key}`, note)
  }
}

function compareHomeserver(before: object, after: object, shape: Shape, note: Note): void {
  if (shape.kind !== 'section') return
  for (const key of Object.keys(after)) {
    const child = key in mainSchema.shape ? shape.children.get(key) : undefined
    if (child !== undefined) compare(member(before, key), member(after, key), child, key, note)
    else if (!isDeepStrictEqual(member(before, key), member(after, key))) note(nameInFile(key), 'live')
  }
}

function nameInFile(key: string): string {
  return key === 'freezeUnauthenticatedMedia' ? `repo.${key}` : key
}

function pairs(previous: SnapshotData, next: SnapshotData) {
  const before = new Map(previous.homeservers.map((homeserver) => [homeserver.name, homeserver]))
  const after = new Map(next.homeservers.map((homeserver) => [homeserver.name, homeserver]))
  const names = new Set([...before.keys(), ...after.keys()])
  return [...names].map((name) => [name, [before.get(name), after.get(name)]] as const)
}

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}
