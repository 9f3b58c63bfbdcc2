import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { load } from '../support/config.ts'

const ONE = 'homeservers: [{name: example.org, csApi: "https://example.org/"}]\n'

/** Every key of a configuration of MMR 1.3, with values that are not the defaults. */
const WHOLE = `
repo: {bindAddress: 0.0.0.0, port: 8080, logDirectory: "-", logColors: true, jsonLogs: true, logLevel: debug,
  trustAnyForwardedAddress: true, useForwardedHost: false, freezeUnauthenticatedMedia: false}
federation: {backoffAt: 5, ignoredHosts: [bad.org]}
database: {postgres: "postgres://u:p@h/d", pool: {maxConnections: 9, maxIdleConnections: 8}}
homeservers: [{name: a.org, csApi: "https://a/", backoffAt: 0, adminApiKind: dendrite, signingKeyPath: /k}]
admins: ["@a:a.org"]
sharedSecretAuth: {enabled: true, token: abcdef}
accessTokens: {maxCacheTimeSeconds: 43200, useLocalAppserviceConfig: true,
  appservices: [{id: b, asToken: t, senderUserId: "@b:a.org", userNamespaces: [{regex: "@_b_.*:a\\\\.org"}]}]}
datastores: [{type: s3, id: s, forKinds: [thumbnails, remote_media, local_media, archives], opts: {endpoint: e,
  bucketName: b, accessKeyId: k, accessSecret: s, region: r, ssl: false, storageClass: STANDARD, tempPath: "",
  publicBaseUrl: "https://p/", redirectWhenCached: true, prefixLength: 3, multipartUploads: false}}]
archiving: {enabled: false, selfService: true, targetBytesPerPart: 5}
uploads: {maxBytes: 1, minBytes: 0, reportedMaxBytes: -1, maxPending: 6, maxAgeSeconds: 7,
  quotas: {enabled: true, users: [{glob: "@*:*", maxBytes: 1, maxPending: 2, maxFiles: 3}]}}
downloads: {maxBytes: 1, numWorkers: 2, failureCacheMinutes: 3, expireAfterDays: 4, defaultRangeChunkSizeBytes: 5}
urlPreviews: {enabled: false, maxPageSizeBytes: 1, previewUnsafeCertificates: true, numWords: 1, maxLength: 2,
  numTitleWords: 3, maxTitleLength: 4, filePreviewTypes: [], numWorkers: 5, disallowedNetworks: [], allowedNetworks: [],
  expireAfterDays: 1, defaultLanguage: de, userAgent: x, oEmbed: true}
thumbnails: {maxSourceBytes: 1, maxPixels: 2, numWorkers: 3, expireAfterDays: 4, types: [image/png],
  maxAnimateSizeBytes: 5, sizes: [{width: 1, height: 2}], dynamicSizing: true, allowAnimated: false,
  defaultAnimated: true, stillFrame: 0.25}
rateLimit: {enabled: false, requestsPerSecond: 2.5, burst: 5,
  buckets: {downloads: {capacityBytes: 1, drainBytesPerMinute: 2, overflowLimitBytes: 3}}}
identicons: {enabled: false}
quarantine: {replaceThumbnails: false, replaceDownloads: true, thumbnailPath: /q.png, allowLocalAdmins: false}
timeouts: {urlPreviewTimeoutSeconds: 1, federationTimeoutSeconds: 2, clientServerTimeoutSeconds: 3}
metrics: {enabled: true, bindAddress: 0.0.0.0, port: 9001}
plugins: [{exec: /p, config: {any: {thing: 1}}}]
featureSupport: {}
redis: {enabled: true, databaseNumber: 1, shards: [{name: s1, addr: "r:6379"}]}
sentry: {enabled: true, dsn: "https://k@s/1", environment: x, debug: true}
tasks: {numWorkers: 1}
pgo: {enabled: true, submitUrl: "https://x/", submitKey: k}
`

async function derivedId(path: string): Promise<string | undefined> {
  const { datastores } = await load({ 'a.yaml': `${ONE}datastores: [{type: file, opts: {path: ${path}}}]` })
  return datastores[0]?.id
}

describe('Configuration files of MMR', () => {
  test('of 1.3 are known with every key', async () => {
    const { main, warnings, forHost } = await load({ 'a.yaml': WHOLE })
    expect(warnings).toEqual([])
    const written: Record<string, unknown> = parse(WHOLE)
    for (const section of ['repo', 'federation', 'uploads', 'downloads', 'urlPreviews', 'thumbnails', 'rateLimit']) {
      expect(Reflect.get(main, section)).toMatchObject(Object(written[section]))
    }
    expect(main.homeservers[0]).toMatchObject({ csApi: 'https://a', backoffAt: 10, adminApiKind: 'dendrite' })
    expect(forHost('a.org')?.accessTokens.appservices[0]?.userNamespaces).toEqual([{ regex: '@_b_.*:a\\.org' }])
    expect(main.plugins[0]?.config).toEqual({ any: { thing: 1 } })
  })

  test('that leave options out get the values of MMR’s sample', async () => {
    const { main } = await load({ 'a.yaml': ONE })
    expect(main).toMatchObject({
      repo: { useForwardedHost: true, freezeUnauthenticatedMedia: true, trustAnyForwardedAddress: false },
      uploads: { maxBytes: 104_857_600, minBytes: 100, maxPending: 5, maxAgeSeconds: 1800, reportedMaxBytes: 0 },
      downloads: {
        maxBytes: 104_857_600,
        numWorkers: 10,
        failureCacheMinutes: 5,
        defaultRangeChunkSizeBytes: 10_485_760,
      },
      thumbnails: { maxSourceBytes: 10_485_760, maxPixels: 32_000_000, numWorkers: 100, stillFrame: 0.5 },
      rateLimit: { enabled: true, requestsPerSecond: 1, burst: 10 },
      metrics: { enabled: false, port: 9000 },
      accessTokens: { maxCacheTimeSeconds: 0, useLocalAppserviceConfig: false },
      timeouts: { clientServerTimeoutSeconds: 30 },
    })
    expect(main.thumbnails.types).toContain('image/webp')
    expect(main.thumbnails.types).not.toContain('image/svg+xml')
    expect(main.thumbnails.sizes).toContainEqual({ width: 768, height: 240 })
  })

  test('the minimal one of 1.2 works as it stands', async () => {
    const { homeservers, datastores, warnings, main } = await load({
      'media-repo.yaml': `
repo:
  bindAddress: '127.0.0.1'
  port: 8000
database:
  postgres: "postgres://mmr:secret@localhost/mmr?sslmode=disable"
homeservers:
  - name: example.org
    csApi: "https://example.org/"
datastores:
  - type: file
    enabled: true
    opts:
      path: /var/matrix/media
`,
    })
    expect(homeservers[0]).toMatchObject({ name: 'example.org', csApi: 'https://example.org', adminApiKind: 'matrix' })
    expect(datastores).toEqual([
      { type: 'file', id: 'df231a17739966f1', forKinds: ['all'], opts: { path: '/var/matrix/media' } },
    ])
    expect(main.database.sqlite).toBe('')
    expect(warnings).toEqual([expect.stringContaining('media-repo.yaml:12: datastores[0].enabled: is of MMR 1.2')])
  })

  test('other keys of 1.2 are mapped or named', async () => {
    const { main, datastores, warnings } = await load({
      'a.yaml': `${ONE}
datastores:
  - {type: file, enabled: false, forKinds: [all], opts: {path: /old}}
  - {type: file, enabled: yes, forKinds: [thumbnails], opts: {path: /new}}
downloads: {cache: {enabled: true, maxSizeBytes: 1048576000, minDownloads: 5}, maxBytes: 7}
featureSupport:
  redis: {enabled: true, shards: [{name: a, addr: ":7000"}]}
  IPFS: {enabled: true}
  MSC2448: {enabled: true, maxWidth: 1024, maxHeight: 1024, thumbWidth: 32, xComponents: 6, punch: 1}
  MSC2448Blurhash: {xComponents: 5}
`,
    })
    expect(datastores.map(({ forKinds }) => forKinds)).toEqual([[], ['thumbnails']])
    expect(main.redis).toMatchObject({ enabled: true, shards: [{ name: 'a', addr: ':7000' }] })
    expect(main.downloads.maxBytes).toBe(7)
    expect(main.featureSupport.MSC2448Blurhash).toMatchObject({
      enabled: true,
      thumbWidth: 32,
      xComponents: 5,
      yComponents: 3,
    })
    expect(main.downloads.cache).toMatchObject({ maxSizeBytes: 1_048_576_000, minDownloads: 5, trackedMinutes: 30 })
    expect(warnings.map((line) => line.split(': ')[1])).toEqual([
      'datastores[0].enabled',
      'datastores[1].enabled',
      'featureSupport.redis',
      'featureSupport.MSC2448',
      'featureSupport.IPFS',
      'no datastore takes local_media (forKinds), so that uploads are refused',
    ])
  })

  test('what templates write (null, bare numbers in opts, quoted numbers, yes) is understood', async () => {
    const { main, datastores, warnings } = await load({
      'a.yaml': `${ONE}
repo: {port: "8001", logDirectory: "-", logLevel: INFO, jsonLogs: yes, logColors: "false"}
quarantine:
  thumbnailPath:
sentry:
  environment:
thumbnails:
federation:
  ignoredHosts:
    -
admins: ~
accessTokens: {maxCacheTimeSeconds: -1}
sharedSecretAuth: {enabled: true, token: 0123456789012345678901}
datastores:
  - {type: s3, id: s3, forKinds: [all], opts: {endpoint: s3.x, bucketName: b, ssl: true, prefixLength: 0, region: }}
`,
    })
    expect(main.repo).toMatchObject({ port: 8001, logLevel: 'info', jsonLogs: true, logColors: false })
    expect(main.quarantine.thumbnailPath).toBe('')
    expect(main.thumbnails.maxPixels).toBe(32_000_000)
    expect(main.federation.ignoredHosts).toEqual([])
    expect(main.accessTokens.maxCacheTimeSeconds).toBe(0)
    expect(main.sharedSecretAuth.token).toBe('0123456789012345678901')
    expect(datastores[0]?.opts).toEqual({ endpoint: 's3.x', bucketName: 'b', ssl: 'true', prefixLength: '0' })
    expect(warnings).toEqual([])
  })

  test('a derived datastore id does not depend on a slash at the end', async () => {
    expect(await derivedId('/media/')).toBe(await derivedId('/media'))
    expect(await derivedId('/other')).not.toBe(await derivedId('/media'))
  })
})
