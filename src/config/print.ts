import { isDeepStrictEqual } from 'node:util'
import { stringify } from 'yaml'
import type { HomeserverConfig } from './schema.ts'
import { domainSections } from './schema.ts'
import type { Shape } from './shape.ts'
import { mainShape } from './shape.ts'
import type { Snapshot } from './snapshot.ts'

const MASK = '********'

/**
 * The effective configuration as YAML with secrets masked: first the main one, then a document for each homeserver that
 * differs from it, in the form of a per-domain file.
 */
export function printConfig(snapshot: Snapshot): string {
  const shape = mainShape()
  const domains = snapshot.homeservers
    .map((homeserver) => masked(differences(homeserver, snapshot), shape))
    .filter((own) => Object.keys(Object(own)).length > 1)
  return [masked(snapshot.main, shape), ...domains].map((part) => stringify(part)).join('---\n')
}

/** What is particular about a homeserver, in the keys of a per-domain file. */
function differences(homeserver: HomeserverConfig, { main }: Snapshot): Record<string, unknown> {
  const own: Record<string, unknown> = { homeserver: homeserver.name }
  const entry = main.homeservers.find(({ name }) => name === homeserver.name)
  for (const key of ['csApi', 'backoffAt', 'adminApiKind', 'introspection', 'signingKeyPath'] as const) {
    const differing = differingPart(homeserver[key], entry?.[key])
    if (differing !== undefined) own[key] = differing
  }
  const { freezeUnauthenticatedMedia } = homeserver
  if (freezeUnauthenticatedMedia !== main.repo.freezeUnauthenticatedMedia) own['repo'] = { freezeUnauthenticatedMedia }
  for (const key of Object.keys(domainSections)) {
    const [value, common] = [Reflect.get(homeserver, key), Reflect.get(main, key)]
    const differing = differingPart(value, common)
    if (differing !== undefined) own[key] = differing
  }
  return own
}

function differingPart(value: unknown, common: unknown): unknown {
  if (isDeepStrictEqual(value, common)) return undefined
  if (!isMap(value) || !isMap(common)) return value
  const parts = Object.entries(value).map(([key, part]) => [key, differingPart(part, common[key])] as const)
  return Object.fromEntries(parts.filter(([, part]) => part !== undefined))
}

/** A copy in which secrets are stars; of database addresses only the password is. */
function masked(value: unknown, shape: Shape | undefined): unknown {
  if (shape?.notes.secret === true) return maskSecret(value)
  if (Array.isArray(value)) return value.map((item) => masked(item, shape?.kind === 'list' ? shape.item : undefined))
  if (!isMap(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, maskedMember(key, part, shape)]))
}

function maskedMember(key: string, value: unknown, shape: Shape | undefined): unknown {
  if (shape?.kind === 'section') return masked(value, shape.children.get(key))
  // Keys nobody knows (of plugins, of stores): better to hide one too many.
  const secret = shape?.notes.known?.[key]?.secret ?? /secret|token|password|key/i.test(key)
  return secret ? maskSecret(value) : masked(value, undefined)
}

function maskSecret(value: unknown): unknown {
  if (typeof value !== 'string') return MASK
  const open = value
    .replace(/(:\/\/[^/@:]*:)[^/]*(?=@)/, `$1${MASK}`)
    .replace(/(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)/gi, `$1${MASK}`)
  const isAddress = /^postgres(?:ql)?:\/\//.test(value) || /(?:^|\s)(?:host|dbname|user)\s*=/.test(value)
  return value === '' || isAddress ? open : MASK
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
