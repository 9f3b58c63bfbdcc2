import { createRequire } from 'node:module'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { OEmbedProviderList } from '../config/oembed-providers.ts'
import { type OEmbedScheme, oEmbedScheme, hostsAbove, matchesPath } from '../lib/oembed-scheme.ts'
import { lastUsed } from '../lib/last-used.ts'
import type { Log } from '../lib/log.ts'

interface Entry {
  readonly pattern: OEmbedScheme
  /** With `{format}` in it, or not. */
  readonly endpoint: string
}

/** Patterns by their host, in the order of their list. */
type Index = ReadonlyMap<string, readonly Entry[]>

/** What is asked for, in pixels: photos larger than that are of no use in a chat. */
const SIDE = 1200
/** Lists in use at the same time: homeservers may have their own. */
const LISTS = 10

/**
 * Knows who answers oEmbed requests for which addresses: by the list of oembed.com, which is read when it is first needed, or
 * by files of administrators, which are read again when they have changed.
 */
export class OEmbedProviders {
  readonly #log: Pick<Log, 'error'>
  readonly #lists = lastUsed<{ readonly state: string; readonly index: Promise<Index> }>(LISTS)

  constructor(log: Pick<Log, 'error'>) {
    this.#log = log
  }

  /**
   * Where to ask about an address; undefined if it is nobody's. `ownFile` is `urlPreviews.oEmbedProviders`, empty for the
   * list of oembed.com. A file that has become unusable is told in the log once, and what it said before counts.
   */
  async endpointFor(ownFile: string, address: URL): Promise<URL | undefined> {
    const index = await (ownFile === '' ? this.#official() : this.#own(resolve(ownFile)))
    const found = find(index, address)
    return found && requestFor(found.endpoint, address)
  }

  async #official(): Promise<Index> {
    const known = this.#lists.get('')
    if (known) return await known.index
    const index = readList(createRequire(import.meta.url).resolve('oembed-providers')).then((list) =>
      indexOf(list.map(overTls)),
    )
    this.#lists.set('', { state: '', index })
    return await index
  }

  async #own(file: string): Promise<Index> {
    const state = await stateOf(file)
    const known = this.#lists.get(file)
    if (known?.state === state) return await known.index
    const index = readList(file).then(indexOf, async (error: unknown) => {
      this.#log.error({ err: error, path: file }, 'urlPreviews.oEmbedProviders cannot be used')
      return (await known?.index) ?? new Map()
    })
    this.#lists.set(file, { state, index })
    return await index
  }
}

/** What checks lists is loaded when the first one is read. */
async function readList(file: string): Promise<OEmbedProviderList> {
  const { readOEmbedProviders } = await import('../config/oembed-providers.ts')
  return await readOEmbedProviders(file)
}

async function stateOf(file: string): Promise<string> {
  return await stat(file).then(
    ({ mtimeMs, size, ino }) => `${mtimeMs} ${size} ${ino}`,
    (error: unknown) => String(error),
  )
}

type Provider = OEmbedProviderList[number]

/** Much of the list was written before its sites had HTTPS. Those that still have none are gone. */
function overTls(provider: Provider): Provider {
  const endpoints = provider.endpoints.map((endpoint) => ({
    ...endpoint,
    url: endpoint.url.replace(/^http:/i, 'https:'),
  }))
  return { ...provider, endpoints }
}

function indexOf(list: OEmbedProviderList): Index {
  const index = new Map<string, Entry[]>()
  for (const { url, schemes } of list.flatMap(({ endpoints }) => endpoints)) {
    for (const pattern of schemes.map(oEmbedScheme)) {
      if (!pattern) continue
      const entries = index.get(pattern.host)
      if (entries) entries.push({ pattern, endpoint: url })
      else index.set(pattern.host, [{ pattern, endpoint: url }])
    }
  }
  return index
}

/** The first that fits, those of the very host before those of a host above it. */
function find(index: Index, address: URL): Entry | undefined {
  for (const host of hostsAbove(address.host)) {
    const below = host !== address.host
    const found = index.get(host)?.find(({ pattern }) => (!below || pattern.below) && matchesPath(pattern, address))
    if (found) return found
  }
  return undefined
}

/** Source: oEmbed specification, section 2.2. */
function requestFor(endpoint: string, address: URL): URL {
  const request = new URL(endpoint.replaceAll('{format}', 'json'))
  request.searchParams.set('url', address.href)
  request.searchParams.set('maxwidth', String(SIDE))
  request.searchParams.set('maxheight', String(SIDE))
  if (!endpoint.includes('{format}') && !request.searchParams.has('format')) request.searchParams.set('format', 'json')
  return request
}
