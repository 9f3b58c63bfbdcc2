import { join } from 'node:path'
import { z } from 'zod'
import { problemLines } from './problems.ts'
import { completeDatastores } from './registry.ts'
import type { DomainSection, HomeserverConfig, MainConfig } from './schema.ts'
import { domainSections, mainSchema } from './schema.ts'
import { homeserver as homeserverSchema } from './sections/homeservers.ts'
import type { SectionShape } from './shape.ts'
import type { MapNode, Node } from './tree.ts'
import { located, mapNode, mergeMaps, nodeAt, placeOf, plain, withEntries, withoutUnset } from './tree.ts'

const domainSchema = z.object({ ...domainSections, repo: mainSchema.shape.repo })

type Entry = MainConfig['homeservers'][number]

/** What a step could make of the trees, and what was wrong with them. */
export interface Outcome<T> {
  readonly value: T | undefined
  readonly problems: readonly string[]
}

/** The main configuration with defaults. `dataPath` comes from the command line and wins over `repo.dataPath`. */
export function effectiveMain(tree: MapNode, shape: SectionShape, dataPath: string | undefined): Outcome<MainConfig> {
  const set = withoutUnset(tree)
  const parsed = mainSchema.safeParse(plain(set), { reportInput: true })
  if (!parsed.success) return { value: undefined, problems: problemLines(parsed.error, set, shape) }
  const config: MainConfig = parsed.data
  const data = dataPath ?? config.repo.dataPath
  const { postgres, sqlite } = config.database
  const value = {
    ...config,
    repo: { ...config.repo, dataPath: data },
    database: {
      ...config.database,
      sqlite: postgres === '' && sqlite === '' ? join(data, 'cellarium.sqlite') : sqlite,
    },
    datastores: completeDatastores(config.datastores, data),
    homeservers: config.homeservers.map(withTidyAddress),
  }
  return { value, problems: [] }
}

/** One homeserver as its entry in the main configuration says; it shares all sections. */
export function effectiveHomeserver(main: MainConfig, entry: Entry): HomeserverConfig {
  return assemble(main, entry, main, new Set(), main.repo.freezeUnauthenticatedMedia)
}

/**
 * One homeserver with its per-domain files, merged into `domain`, over its entry and over the main configuration. When that
 * has problems itself (`main` undefined), only the problems count.
 */
export function effectiveDomain(
  main: MainConfig | undefined,
  mainTree: MapNode,
  domain: MapNode,
  shape: SectionShape,
): Outcome<HomeserverConfig> {
  const { value: identity, problems: identityProblems } = identityOf(mainTree, domain, shape)
  const merged = withoutUnset(mergeMaps(sectionsOf(mainTree), sectionsOf(domain)))
  const sections = domainSchema.safeParse(plain(merged), { reportInput: true })
  if (!sections.success) {
    return { value: undefined, problems: [...identityProblems, ...problemLines(sections.error, merged, shape)] }
  }
  if (main === undefined || identity === undefined) return { value: undefined, problems: identityProblems }
  const own = { ...sections.data, datastores: completeDatastores(sections.data.datastores, main.repo.dataPath) }
  const touched = new Set(domain.entries.keys())
  return { value: assemble(main, identity, own, touched, own.repo.freezeUnauthenticatedMedia), problems: [] }
}

/** Which homeserver it is and how to reach it: its entry in the main configuration, with what its files say over it. */
function identityOf(mainTree: MapNode, domain: MapNode, shape: SectionShape): Outcome<Entry> {
  const own = withoutUnset(identityNode(domain))
  const name = nameOf(own)
  const entry = entryNode(mainTree, name)
  const tree = withoutUnset(entry === undefined ? own : mergeMaps(entry, own))
  const parsed = homeserverSchema.safeParse(plain(tree), { reportInput: true })
  if (parsed.success) return { value: withTidyAddress(parsed.data), problems: [] }
  if (entry === undefined && !own.entries.has('csApi')) {
    const sentence = `${String(name)} has no entry in homeservers; add one, or csApi to this file`
    return { value: undefined, problems: [located(placeOf(own, ['name']), ['homeserver'], sentence)] }
  }
  // What is wrong with the entry itself was said when the main configuration was checked.
  const issues = parsed.error.issues.filter((issue) => own.entries.has(String(issue.path[0])))
  return { value: undefined, problems: problemLines(new z.ZodError(issues), tree, shape) }
}

function assemble(
  main: MainConfig,
  identity: Entry,
  own: Pick<MainConfig, DomainSection>,
  touched: ReadonlySet<string>,
  freezeUnauthenticatedMedia: boolean,
): HomeserverConfig {
  const pick = <K extends DomainSection>(name: K): Pick<MainConfig, DomainSection>[K] =>
    (touched.has(name) ? own : main)[name]
  return {
    ...identity,
    freezeUnauthenticatedMedia,
    datastores: pick('datastores'),
    archiving: pick('archiving'),
    uploads: pick('uploads'),
    downloads: pick('downloads'),
    urlPreviews: pick('urlPreviews'),
    thumbnails: pick('thumbnails'),
    identicons: pick('identicons'),
    quarantine: pick('quarantine'),
    timeouts: pick('timeouts'),
    accessTokens: pick('accessTokens'),
    featureSupport: pick('featureSupport'),
  }
}

/** The entry of a homeserver in the main configuration's list. */
function entryNode(mainTree: MapNode, name: unknown): MapNode | undefined {
  const list = mainTree.entries.get('homeservers')
  if (list?.kind !== 'list') return undefined
  return list.items.filter((item) => item.kind === 'map').find((item) => nameOf(item) === name)
}

/** Only what the domain's schema looks at: a list of 200 homeservers would be walked 200 times. */
function sectionsOf(tree: MapNode): MapNode {
  return mapNode(
    tree.place,
    [...tree.entries].filter(([key]) => key in domainSchema.shape),
  )
}

/** The keys at the top of a per-domain file that say which homeserver it is and how to reach it. */
function identityNode(domain: MapNode): MapNode {
  const keys = ['csApi', 'backoffAt', 'adminApiKind', 'introspection', 'signingKeyPath']
  const entries = keys.map((key) => [key, domain.entries.get(key)] as const)
  return withEntries(mapNode(domain.place), {
    name: domain.entries.get('homeserver'),
    ...Object.fromEntries(entries.filter(([, node]) => node !== undefined)),
  })
}

function nameOf(entry: Node): unknown {
  const name = nodeAt(entry, ['name'])
  return name && plain(name)
}

function withTidyAddress<T extends { readonly csApi: string }>(entry: T): T {
  return { ...entry, csApi: entry.csApi.replace(/\/+$/, '') }
}
