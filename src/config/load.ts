import { setImmediate } from 'node:timers/promises'
import { ConfigError } from '../lib/errors.ts'
import { effectiveDomain, effectiveHomeserver, effectiveMain } from './effective.ts'
import { configFiles, readConfigFile } from './files.ts'
import type { WithoutEffect } from './keys.ts'
import { checkKeys, domainShape } from './keys.ts'
import { upgrade } from './legacy.ts'
import { oEmbedProblems } from './oembed-providers.ts'
import { register } from './registry.ts'
import type { DatastoreConfig, HomeserverConfig, MainConfig } from './schema.ts'
import type { SectionShape } from './shape.ts'
import { mainShape } from './shape.ts'
import { slips } from './slips.ts'
import type { Snapshot } from './snapshot.ts'
import { createSnapshot } from './snapshot.ts'
import type { MapNode } from './tree.ts'
import { asTree, isUnset, mapNode, mergeMaps } from './tree.ts'
import { parseYaml } from './yaml.ts'

/** Where the configuration comes from; the caller has read the command line and the environment. */
export interface ConfigSource {
  /** A file or a folder of files. Without it, one homeserver with the defaults. */
  readonly path?: string
  /** Folder of SQLite, admin token and default media; wins over `repo.dataPath`. */
  readonly dataPath?: string
  /** The homeserver when no file names one (localhost). */
  readonly serverName?: string
  readonly csApi?: string
  /** The shared-secret administrator's token when there is no file. */
  readonly adminToken?: string
}

interface Files {
  readonly main: MapNode
  /** Per-domain files by homeserver, those of one homeserver merged in order. */
  readonly domains: ReadonlyMap<string, MapNode>
}

interface Findings {
  readonly problems: Set<string>
  readonly warnings: string[]
  readonly withoutEffect: WithoutEffect[]
}

/**
 * Reads, merges and checks the configuration. Throws ConfigError with every problem (and warning) at once, each with file, line
 * and path of what set the wrong value. Gives way to other work between files and homeservers, so that a reload does not hold up requests.
 */
export async function loadConfig(source: ConfigSource): Promise<Snapshot> {
  const findings: Findings = { problems: new Set(), warnings: [], withoutEffect: [] }
  const shape = mainShape()
  const read = source.path ? await readFiles(source.path, shape, findings) : withoutFiles(source)
  const files = withSomeHomeserver(read, source, findings)
  const main = settle(effectiveMain(files.main, shape, source.dataPath), findings)
  const homeservers = await openHomeservers(main, files, domainShape(shape), findings)
  collect(await oEmbedProblems(main ? [main, ...homeservers] : homeservers), findings)
  if (main === undefined || findings.problems.size > 0) throw unusable(findings)

  const datastores = registerAll(main, homeservers, files, findings)
  if (findings.problems.size > 0) throw unusable(findings)
  const { withoutEffect } = findings
  const warnings = [...findings.warnings, ...slips(main, homeservers, files.main)]
  return createSnapshot({ main, homeservers, datastores, warnings, withoutEffect })
}

async function readFiles(path: string, shape: SectionShape, findings: Findings): Promise<Files> {
  const perDomain = domainShape(shape)
  const domains = new Map<string, MapNode>()
  let main = mapNode({ file: path, line: 0 })
  for (const file of await configFiles(path)) {
    const { text } = await readConfigFile(file)
    const parsed = parseYaml(file, text)
    const upgraded = upgrade(parsed.tree)
    const name = homeserverName(upgraded.tree)
    const checked = checkKeys(
      upgraded.tree,
      name === undefined ? shape : perDomain,
      name === undefined ? 'main' : 'domain',
    )
    collect(parsed.problems, findings)
    findings.warnings.push(...parsed.warnings, ...upgraded.warnings, ...checked.warnings)
    findings.withoutEffect.push(...checked.withoutEffect)
    if (name === undefined) main = mergeMaps(main, checked.tree)
    else domains.set(name, mergeMaps(domains.get(name) ?? mapNode({ file, line: 1 }), checked.tree))
  }
  // Half of what was meant is worse than nothing: with a file missing, all else would be judged wrongly.
  if (findings.problems.size > 0) throw unusable(findings)
  return { main, domains }
}

/** A per-domain file says whose it is; a homeserver that is no text makes it none (MMR behaviour). */
function homeserverName(tree: MapNode): string | undefined {
  const name = tree.entries.get('homeserver')
  return name?.kind === 'scalar' && typeof name.value === 'string' ? name.value : undefined
}

function withoutFiles(source: ConfigSource): Files {
  const { adminToken } = source
  const admin = adminToken === undefined ? {} : { sharedSecretAuth: { enabled: true, token: adminToken } }
  return { main: asTree(admin, { file: 'the defaults', line: 0 }), domains: new Map() }
}

/** A configuration that names no homeserver serves the one of the command line, or localhost. */
function withSomeHomeserver(files: Files, source: ConfigSource, findings: Findings): Files {
  const listed = files.main.entries.get('homeservers')
  const empty = listed === undefined || isUnset(listed) || (listed.kind === 'list' && listed.items.length === 0)
  if (!empty || files.domains.size > 0) return files
  const { serverName: name = 'localhost', csApi = 'http://localhost:8008' } = source
  if (source.path)
    findings.warnings.push(`${source.path}: no homeserver is configured; serving ${name}, asking ${csApi}`)
  const own = asTree({ homeservers: [{ name, csApi }] }, { file: 'command line or environment', line: 0 })
  return { ...files, main: mergeMaps(files.main, own) }
}

/** Those of the list that have no per-domain file, then those that have. */
async function openHomeservers(
  main: MainConfig | undefined,
  files: Files,
  shape: SectionShape,
  findings: Findings,
): Promise<HomeserverConfig[]> {
  const listed = (main?.homeservers ?? []).filter((entry) => !files.domains.has(entry.name))
  const homeservers = listed.map((entry) => main && effectiveHomeserver(main, entry))
  for (const domain of files.domains.values()) {
    homeservers.push(settle(effectiveDomain(main, files.main, domain, shape), findings))
    await setImmediate()
  }
  return homeservers.filter((homeserver) => homeserver !== undefined)
}

/** Those of the main configuration, although perhaps no homeserver uses them any more, and those of all homeservers. */
function registerAll(
  main: MainConfig,
  homeservers: readonly HomeserverConfig[],
  files: Files,
  findings: Findings,
): readonly DatastoreConfig[] {
  const registry = new Map<string, DatastoreConfig>()
  const seen = new Set<readonly DatastoreConfig[]>()
  const own = files.main.entries.get('datastores')
  if (own?.kind === 'list' && own.items.length > 0) {
    collect(register(registry, main.datastores, files.main), findings)
    seen.add(main.datastores)
  }
  for (const { name, datastores } of homeservers) {
    if (seen.has(datastores)) continue
    seen.add(datastores)
    collect(register(registry, datastores, files.domains.get(name) ?? files.main), findings)
  }
  return [...registry.values()]
}

function settle<T>(
  outcome: { readonly value: T | undefined; readonly problems: readonly string[] },
  findings: Findings,
): T | undefined {
  collect(outcome.problems, findings)
  return outcome.value
}

/** With the warnings: what is missing may be there under a name with a slip in it. */
function unusable({ problems, warnings }: Findings): ConfigError {
  return new ConfigError([...problems], { warnings })
}

function collect(problems: readonly string[], findings: Findings): void {
  for (const problem of problems) findings.problems.add(problem)
}
