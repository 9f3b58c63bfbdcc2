import { THUMBNAIL_TYPES } from './sections/thumbnails.ts'
import type { DatastoreConfig, HomeserverConfig, MainConfig } from './schema.ts'
import type { Node, Path } from './tree.ts'
import { located, placeOf } from './tree.ts'

/** Settings that are allowed, and cannot do what whoever wrote them meant: a line each, for the log and `config check`. */
export function slips(main: MainConfig, homeservers: readonly HomeserverConfig[], tree: Node): string[] {
  const at = (path: Path, sentence: string) => located(placeOf(tree, path), path, sentence)
  return [
    ...strangeAdmins(main, homeservers).map(([index, why]) => at(['admins', index], why)),
    ...(main.redis.enabled && main.redis.shards.length === 0
      ? [at(['redis', 'shards'], 'names no server, so that Redis is not used although it is enabled')]
      : []),
    ...(main.sentry.enabled && main.sentry.dsn === ''
      ? [at(['sentry', 'dsn'], 'is empty, so that nothing is reported although Sentry is enabled')]
      : []),
    ...strangeTypes(main.thumbnails.types).map(([index, why]) => at(['thumbnails', 'types', index], why)),
    ...homeservers.flatMap(slipsOfHomeserver),
    ...homeservers.flatMap((homeserver) => ownStrangeTypes(homeserver, main)),
  ]
}

/** What would be taken for a type that is made, and is none. */
function strangeTypes(types: readonly string[]): [number, string][] {
  return types.flatMap((type, index): [number, string][] => {
    const why = `${JSON.stringify(type)} is no type that thumbnails are made of; docs/thumbnails.md has all that are`
    return THUMBNAIL_TYPES.has(type) ? [] : [[index, why]]
  })
}

/** Those that are said for all homeservers are told once. */
function ownStrangeTypes({ name, thumbnails }: HomeserverConfig, main: MainConfig): string[] {
  const own = thumbnails.types.filter((type) => !main.thumbnails.types.includes(type))
  return strangeTypes(own).map(([, why]) => `${name}: thumbnails.types: ${why}`)
}

/** Who can never be recognised: tokens are only ever those of users of the homeservers served here. */
function strangeAdmins({ admins }: MainConfig, homeservers: readonly HomeserverConfig[]): [number, string][] {
  const served = new Set(homeservers.map(({ name }) => name))
  return admins.flatMap((admin, index): [number, string][] => {
    const server = /^@[^:]*:(.+)$/.exec(admin)?.[1]
    if (server === undefined)
      return [[index, `${JSON.stringify(admin)} is no user id like @you:example.org, so it is nobody's`]]
    return served.has(server) ? [] : [[index, `${admin} is of no homeserver that is served here, so it is nobody's`]]
  })
}

function slipsOfHomeserver({ name, csApi, uploads, datastores }: HomeserverConfig): string[] {
  const { minBytes, maxBytes } = uploads
  return [
    ...(datastores.some(takesUploads)
      ? []
      : [`${name}: no datastore takes local_media (forKinds), so that uploads are refused`]),
    ...(maxBytes > 0 && minBytes > maxBytes
      ? [
          `${name}: uploads.minBytes (${minBytes}) is more than uploads.maxBytes (${maxBytes}), so that uploads are refused`,
        ]
      : []),
    ...(csApi.includes('/_matrix')
      ? [`${name}: csApi is ${csApi}; it should end before /_matrix, which is added to it`]
      : []),
  ]
}

function takesUploads({ forKinds }: DatastoreConfig): boolean {
  return forKinds.includes('all') || forKinds.includes('local_media')
}
