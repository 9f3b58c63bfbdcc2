import type { ListNode, MapNode, Node, Path } from './tree.ts'
import { isUnset, located, merge, withEntries } from './tree.ts'

export interface Upgraded {
  readonly tree: MapNode
  readonly warnings: readonly string[]
}

/**
 * A file of MMR 1.2 in the terms of 1.3: `datastores[].enabled` becomes `forKinds`, `featureSupport.redis` becomes `redis`,
 * `featureSupport.MSC2448` has the name that it has here. IPFS, which 1.3 dropped, is taken out with a warning. A datastore
 * without an `id` gets one later, from its type and place.
 */
export function upgrade(tree: MapNode): Upgraded {
  const warnings: string[] = []
  const warn = (node: Node, path: Path, text: string) => warnings.push(located(node.place, path, text))
  const steps = [upgradeDatastores, moveRedis, renameBlurhash, dropIpfs]
  return { tree: steps.reduce((upgraded, step) => step(upgraded, warn), tree), warnings }
}

type Warn = (node: Node, path: Path, text: string) => void

function upgradeDatastores(tree: MapNode, warn: Warn): MapNode {
  const datastores = tree.entries.get('datastores')
  if (datastores?.kind !== 'list') return tree
  const items = datastores.items.map((item, index) => {
    const enabled = item.kind === 'map' ? item.entries.get('enabled') : undefined
    if (item.kind !== 'map' || enabled === undefined) return item
    warn(
      enabled,
      ['datastores', index, 'enabled'],
      'is of MMR 1.2; use forKinds, where an empty list means "only read"',
    )
    return withEntries(item, { enabled: undefined, forKinds: kindsFor(item, enabled) })
  })
  return withEntries(tree, { datastores: { ...datastores, items } })
}

/** Disabled stores take nothing new; enabled ones without kinds take all. */
function kindsFor(item: MapNode, enabled: Node): Node | undefined {
  const list = (items: readonly Node[]): ListNode => ({ kind: 'list', place: enabled.place, items })
  const off = enabled.kind === 'scalar' && ['false', 'no', 'off'].includes(String(enabled.value).toLowerCase())
  if (off) return list([])
  const kinds = item.entries.get('forKinds')
  return isUnset(kinds) ? list([{ kind: 'scalar', place: enabled.place, value: 'all' }]) : kinds
}

function moveRedis(tree: MapNode, warn: Warn): MapNode {
  const features = tree.entries.get('featureSupport')
  const redis = features?.kind === 'map' ? features.entries.get('redis') : undefined
  if (features?.kind !== 'map' || redis === undefined) return tree
  warn(redis, ['featureSupport', 'redis'], 'is of MMR 1.2; it is now called redis')
  const own = tree.entries.get('redis')
  const moved = own === undefined ? redis : merge(redis, own)
  return withEntries(tree, { featureSupport: withEntries(features, { redis: undefined }), redis: moved })
}

function renameBlurhash(tree: MapNode, warn: Warn): MapNode {
  const features = tree.entries.get('featureSupport')
  const blurhash = features?.kind === 'map' ? features.entries.get('MSC2448') : undefined
  if (features?.kind !== 'map' || blurhash === undefined) return tree
  warn(blurhash, ['featureSupport', 'MSC2448'], 'is of MMR 1.2; it is now called featureSupport.MSC2448Blurhash')
  const own = features.entries.get('MSC2448Blurhash')
  const renamed = own === undefined ? blurhash : merge(blurhash, own)
  return withEntries(tree, {
    featureSupport: withEntries(features, { MSC2448: undefined, MSC2448Blurhash: renamed }),
  })
}

function dropIpfs(tree: MapNode, warn: Warn): MapNode {
  const features = tree.entries.get('featureSupport')
  const ipfs = features?.kind === 'map' ? features.entries.get('IPFS') : undefined
  if (features?.kind !== 'map' || ipfs === undefined) return tree
  warn(ipfs, ['featureSupport', 'IPFS'], 'is of MMR 1.2 and has no effect any more')
  return withEntries(tree, { featureSupport: withEntries(features, { IPFS: undefined }) })
}
