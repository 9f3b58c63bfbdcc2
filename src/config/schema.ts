/**
 * Every option once, in the order of the sample: type, default, meaning, and whether a reload follows it. The types, the
 * manual, the sample, the JSON Schema and `config check` all come from here. The keys are those of MMR 1.3, plus our own.
 */
import { z } from 'zod'
import { accessTokens } from './sections/access-tokens.ts'
import { admins } from './sections/admins.ts'
import { archiving } from './sections/archiving.ts'
import { audit } from './sections/audit.ts'
import { database } from './sections/database.ts'
import type { datastore } from './sections/datastores.ts'
import { datastores } from './sections/datastores.ts'
import { downloads } from './sections/downloads.ts'
import { featureSupport } from './sections/feature-support.ts'
import { federation } from './sections/federation.ts'
import { homeservers } from './sections/homeservers.ts'
import { identicons } from './sections/identicons.ts'
import { metrics } from './sections/metrics.ts'
import { moderation } from './sections/moderation.ts'
import { pgo } from './sections/pgo.ts'
import { plugins } from './sections/plugins.ts'
import { quarantine } from './sections/quarantine.ts'
import { rateLimit } from './sections/rate-limit.ts'
import { redis } from './sections/redis.ts'
import { repo } from './sections/repo.ts'
import { retention } from './sections/retention.ts'
import { sentry } from './sections/sentry.ts'
import { sharedSecretAuth } from './sections/shared-secret-auth.ts'
import { storage } from './sections/storage.ts'
import { tasks } from './sections/tasks.ts'
import { thumbnails } from './sections/thumbnails.ts'
import { timeouts } from './sections/timeouts.ts'
import { uploads } from './sections/uploads.ts'
import { urlPreviews } from './sections/url-previews.ts'

/** The sections that a per-domain file may set for its homeserver. */
export const domainSections = {
  datastores,
  archiving,
  uploads,
  downloads,
  urlPreviews,
  thumbnails,
  identicons,
  quarantine,
  timeouts,
  accessTokens,
  featureSupport,
}

/** The main configuration. */
const mainSections = {
  repo,
  database,
  homeservers,
  admins,
  sharedSecretAuth,
  federation,
  ...domainSections,
  rateLimit,
  metrics,
  sentry,
  redis,
  tasks,
  audit,
  plugins,
  moderation,
  retention,
  storage,
  pgo,
}

export const mainSchema = z.object(mainSections)

export type DeepReadonly<T> = T extends (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T

/** The main configuration, with every default filled in. */
export type MainConfig = DeepReadonly<z.output<typeof mainSchema>>

export type DatastoreConfig = DeepReadonly<z.output<typeof datastore>>

export type DomainSection = keyof typeof domainSections

/** What holds for requests to one homeserver: the main configuration, with its per-domain files over it. */
export type HomeserverConfig = MainConfig['homeservers'][number] &
  Pick<MainConfig, DomainSection> & {
    /** New media need authentication to be read, from the moment they are stored. */
    readonly freezeUnauthenticatedMedia: boolean
  }
