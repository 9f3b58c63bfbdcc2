import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import type { Snapshot } from '../../src/config/snapshot.ts'
import { load, problems } from '../support/config.ts'
import { temporaryFolder } from '../support/folder.ts'
import { pausesOf } from '../support/pauses.ts'

const withStore = (path: string) =>
  `homeserver: example.org\ndatastores:\n  - {type: file, id: a, opts: {path: ${path}}}\n`

const offloading = (how: string) => `datastores: [{type: file, id: x, opts: {path: /a, offload: "${how}"}}]`

const ONE = 'homeservers: [{name: example.org, csApi: "https://example.org/"}]\n'

describe('Without a configuration', () => {
  test('localhost is served from SQLite and a folder of media', async () => {
    const { main, homeservers, datastores, warnings } = await loadConfig({})
    expect(homeservers.map(({ name, csApi }) => [name, csApi])).toEqual([['localhost', 'http://localhost:8008']])
    expect(main.database).toMatchObject({ postgres: '', sqlite: 'data/cellarium.sqlite' })
    expect(datastores).toEqual([{ type: 'file', id: 'media', forKinds: ['all'], opts: { path: 'data/media' } }])
    expect([main.repo.bindAddress, main.repo.port]).toEqual(['127.0.0.1', 8000])
    expect(main.sharedSecretAuth.enabled).toBe(false)
    expect(warnings).toEqual([])
  })

  test('the command line names the homeserver, the folder and the token', async () => {
    const source = { dataPath: '/srv/x', serverName: 'a.org:8448', csApi: 'http://hs/', adminToken: 'tok' }
    const { main, homeservers, datastores } = await loadConfig(source)
    expect(homeservers[0]).toMatchObject({ name: 'a.org:8448', csApi: 'http://hs' })
    expect(main.sharedSecretAuth).toEqual({ enabled: true, token: 'tok' })
    expect(main.database.sqlite).toBe('/srv/x/cellarium.sqlite')
    expect(datastores[0]?.opts['path']).toBe('/srv/x/media')
  })

  test('a wrong server name is refused', async () => {
    await expect(loadConfig({ serverName: 'a b' })).rejects.toThrow(/name: must be a server name/)
  })

  test('a path that does not exist is an error, not a reason to write a file', async () => {
    await expect(loadConfig({ path: '/nowhere/media-repo.yaml' })).rejects.toThrow(
      '/nowhere/media-repo.yaml: does not exist',
    )
  })

  test('an empty folder is an error', async () => {
    await expect(load({})).rejects.toThrow('is a folder without a configuration file')
  })
})

describe('A folder of files', () => {
  test('is read in the order of the bytes of the names, whatever the endings', async () => {
    const { main } = await load({
      'a.conf': `${ONE}uploads: {maxBytes: 1, minBytes: 1}`,
      'B.yaml': 'uploads: {maxBytes: 2, maxPending: 2}',
      b: 'uploads: {maxBytes: 3}',
      '..data': 'uploads: {maxAgeSeconds: 9}',
      'sub/c.yaml': 'uploads: {maxAgeSeconds: 9}',
    })
    expect(main.uploads).toMatchObject({ maxBytes: 3, minBytes: 1, maxPending: 2, maxAgeSeconds: 1800 })
  })

  test('is read without what editors leave in it, and without signing keys', async () => {
    const { main, warnings } = await load({
      'a.yaml': 'homeservers: [{name: example.org, csApi: "http://x"}]\nuploads: {maxBytes: 3000}',
      'a.yaml~': 'uploads: {maxBytes: 2000}',
      '.a.yaml.swp': 'b0VIM 9.0',
      'example.org.signing.key': 'ed25519 a_key c2VjcmV0',
    })
    expect([main.uploads.maxBytes, warnings]).toEqual([3000, []])
  })

  test('without any homeserver serves localhost and says so', async () => {
    const { homeservers, warnings } = await load({ 'a.yaml': 'uploads: {maxBytes: 500}' })
    expect(homeservers[0]).toMatchObject({ name: 'localhost', uploads: { maxBytes: 500 } })
    expect(warnings).toEqual([expect.stringContaining('no homeserver is configured; serving localhost')])
  })
})

describe('Per-domain files', () => {
  const main = `${ONE}thumbnails: {maxPixels: 5}\ndatastores: [{type: file, id: a, forKinds: [all], opts: {path: /a}}]\n`

  test('change one option and leave all others as in the main configuration', async () => {
    const { forHost, main: common } = await load({
      'a.yaml': main,
      'b.yaml': 'homeserver: example.org\nthumbnails: {dynamicSizing: true}\nidenticons: {enabled: false}\n',
    })
    expect(forHost('example.org')?.thumbnails).toEqual({ ...common.thumbnails, maxPixels: 5, dynamicSizing: true })
    expect(forHost('example.org')?.identicons.enabled).toBe(false)
    expect(common.thumbnails.dynamicSizing).toBe(false)
    expect(forHost('example.org')?.uploads).toBe(common.uploads)
  })

  test('of one homeserver are laid over each other in their order, also before the main file', async () => {
    const { forHost } = await load({
      '1.yaml': 'homeserver: example.org\nuploads: {maxBytes: 1, minBytes: 1}\nbackoffAt: 3\n',
      '2.yaml': main,
      '3.yaml': 'homeserver: example.org\nuploads: {maxBytes: 3}\nadminApiKind: synapse\n',
    })
    expect(forHost('example.org')).toMatchObject({
      uploads: { maxBytes: 3, minBytes: 1, maxPending: 5 },
      backoffAt: 3,
      adminApiKind: 'synapse',
      csApi: 'https://example.org',
    })
  })

  test('may add a homeserver, if they say where its API is', async () => {
    const { forHost } = await load({ 'a.yaml': main, 'b.yaml': 'homeserver: b.org\ncsApi: http://b/\n' })
    expect(forHost('b.org')).toMatchObject({ csApi: 'http://b', thumbnails: { maxPixels: 5 } })
    expect(await problems({ 'a.yaml': main, 'b.yaml': '\nhomeserver: b.org\n' })).toEqual([
      'b.yaml:2: homeserver: b.org has no entry in homeservers; add one, or csApi to this file',
    ])
  })

  test('may freeze or open unauthenticated media, but set nothing else of the server', async () => {
    const {
      forHost,
      main: common,
      warnings,
    } = await load({
      'a.yaml': main,
      'b.yaml':
        'homeserver: example.org\nrepo: {freezeUnauthenticatedMedia: false, port: 1}\nthumbnails: {numWorkers: 1}\ndatabase: {postgres: x}\n',
    })
    expect(forHost('example.org')?.freezeUnauthenticatedMedia).toBe(false)
    expect(common.repo.freezeUnauthenticatedMedia).toBe(true)
    expect([common.repo.port, forHost('example.org')?.thumbnails.numWorkers]).toEqual([8000, 100])
    const ignored = 'is ignored: only the main configuration may set it, no per-domain file'
    expect(warnings).toEqual([
      `b.yaml:2: repo.port: ${ignored}`,
      `b.yaml:3: thumbnails.numWorkers: ${ignored}`,
      `b.yaml:4: database: ${ignored}`,
    ])
  })

  test('may have datastores of their own, which the whole server knows', async () => {
    const { forHost, datastores } = await load({
      'a.yaml': main,
      'b.yaml': 'homeserver: example.org\ndatastores: [{type: file, id: b, forKinds: [all], opts: {path: /b}}]\n',
    })
    expect(forHost('example.org')?.datastores.map(({ id }) => id)).toEqual(['b'])
    expect(datastores.map(({ id }) => id)).toEqual(['a', 'b'])
  })

  test('may use a datastore id again only for the same place', async () => {
    expect((await load({ 'a.yaml': main, 'b.yaml': withStore('/a') })).datastores).toHaveLength(1)
    expect(await problems({ 'a.yaml': main, 'b.yaml': withStore('/b') })).toEqual([
      'b.yaml:3: datastores[0].id: a is already the id of a datastore with another opts.path; give it its own',
    ])
  })

  test('do without the main configuration’s default folder when all have their own stores', async () => {
    const { datastores } = await load({
      'b.yaml':
        'homeserver: b.org\ncsApi: http://b\ndatastores: [{type: file, id: b, forKinds: [all], opts: {path: /b}}]\n',
    })
    expect(datastores.map(({ id }) => id)).toEqual(['b'])
  })
})

describe('Wrong values', () => {
  test('are all named at once, each with its file, line and path', async () => {
    const found = await problems({
      'a.yaml': `repo: {port: 70000, logLevel: loud}
database: {postgres: "postgres://your_username:your_password@localhost/database_name?sslmode=disable"}
homeservers:
  - {name: "exa mple", csApi: "ftp://x"}
  - csApi: http://x
sharedSecretAuth: {enabled: true, token: ReplaceMe}
uploads: 5
thumbnails: {sizes: [], maxPixels: many}
accessTokens: {appservices: [{id: x, asToken: {a: 1}, userNamespaces: [{regex: "("}]}]}
urlPreviews: {allowedNetworks: [10.0.0.0]}
datastores: [{type: ipfs}, {type: file}, {type: s3, opts: {endpoint: x}}]
`,
      'b.yaml': 'homeserver: example.org\ncsApi: http://x\nuploads: {maxBytes: lots}\nbackoffAt: [1]\n',
    })
    expect(found.map((line) => line.split(': ').slice(0, 2).join(' ')).sort()).toEqual([
      'a.yaml:1 repo.logLevel',
      'a.yaml:1 repo.port',
      'a.yaml:10 urlPreviews.allowedNetworks[0]',
      'a.yaml:11 datastores[0].type',
      'a.yaml:11 datastores[1].opts.path',
      'a.yaml:11 datastores[2].opts.bucketName',
      'a.yaml:2 database.postgres',
      'a.yaml:4 homeservers[0].csApi',
      'a.yaml:4 homeservers[0].name',
      'a.yaml:5 homeservers[1].name',
      'a.yaml:6 sharedSecretAuth.token',
      'a.yaml:7 uploads',
      'a.yaml:8 thumbnails.maxPixels',
      'a.yaml:8 thumbnails.sizes',
      'a.yaml:9 accessTokens.appservices[0].asToken',
      'a.yaml:9 accessTokens.appservices[0].userNamespaces[0].regex',
      'b.yaml:3 uploads.maxBytes',
      'b.yaml:4 backoffAt',
    ])
    expect(found).toContain('a.yaml:1: repo.port: must be at most 65535, is 70000')
    expect(found).toContain('b.yaml:3: uploads.maxBytes: must be a whole number, is "lots"')
    expect(found.join()).not.toContain('your_password')
  })

  test.each([
    ['disallowedNetworks: [127.0.0.1/8, 10.0/8]', 'disallowedNetworks[1]'],
    ['disallowedNetworks: [127.0.0.1]', 'disallowedNetworks[0]'],
    ['allowedNetworks: ["::ffff:10.0.0.0/8"]', 'allowedNetworks[0]'],
    ['allowedNetworks: [everywhere]', 'allowedNetworks[0]'],
    ['disallowedUrls: [example.org, "ftp://example.org"]', 'disallowedUrls[1]'],
    ['disallowedUrls: ["/private/*"]', 'disallowedUrls[0]'],
    ['userAgent: "a\\r\\nb: c"', 'userAgent'],
    ['defaultLanguage: "ä"', 'defaultLanguage'],
  ])('of previews keep the server from starting, of one homeserver too: %s', async (options, path) => {
    const main = await problems({ 'a.yaml': `${ONE}urlPreviews: {${options}}` })
    expect(main).toEqual([expect.stringContaining(`urlPreviews.${path}: must be `)])
    const own = `homeserver: example.org\ncsApi: http://x\nurlPreviews: {${options}}\n`
    expect(await problems({ 'a.yaml': ONE, 'b.yaml': own })).toEqual([
      expect.stringContaining(`urlPreviews.${path}: must be `),
    ])
  })

  test('are blamed on the file that set them, also after merging', async () => {
    expect(
      await problems({ 'a.yaml': `${ONE}uploads: {maxBytes: 5}`, 'b.yaml': '\n\nuploads:\n  minBytes: -3\n' }),
    ).toEqual(['b.yaml:4: uploads.minBytes: must be at least 0, is -3'])
  })

  test('of an entry in homeservers are not said again for its per-domain file', async () => {
    const main = 'homeservers: [{name: a.org, csApi: "ftp://x"}]\nthumbnails: {maxPixels: q}\n'
    expect(
      await problems({ 'a.yaml': main, 'b.yaml': 'homeserver: a.org\nthumbnails: {dynamicSizing: true}\n' }),
    ).toEqual([
      expect.stringMatching(/^a\.yaml:1: homeservers\[0\]\.csApi: /),
      expect.stringMatching(/^a\.yaml:2: thumbnails\.maxPixels: /),
    ])
  })

  test('two homeservers with one name, and two datastores with one id, are refused', async () => {
    const twice = `homeservers: [{name: a.org, csApi: "http://a"}, {name: a.org, csApi: "http://b"}]
datastores: [{type: file, id: x, opts: {path: /a}}, {type: file, id: x, opts: {path: /b}}]`
    expect(await problems({ 'a.yaml': twice })).toEqual([
      'a.yaml:1: homeservers[1].name: a.org is already the name of homeservers[0]',
      'a.yaml:2: datastores[1].id: x is already the id of datastores[0]; give it its own',
    ])
  })

  test('offload is for files, and in one of its two forms', async () => {
    for (const right of ['', 'sendfile', 'nginx:/', 'nginx:/internal/']) {
      const { datastores } = await load({ 'a.yaml': ONE + offloading(right) })
      expect(datastores[0]?.opts).toEqual({ path: '/a', offload: right })
    }
    for (const wrong of ['nginx', 'nginx:/internal', 'nginx:internal/', 'yes']) {
      expect(await problems({ 'a.yaml': ONE + offloading(wrong) })).toEqual([
        `a.yaml:2: datastores[0].opts.offload: must be sendfile, or nginx: with a path between slashes, not "${wrong}"`,
      ])
    }
    const bucket = 'datastores: [{type: s3, id: x, opts: {endpoint: s3.example, bucketName: b, offload: sendfile}}]'
    expect(await problems({ 'a.yaml': ONE + bucket })).toEqual([
      'a.yaml:2: datastores[0].opts.offload: is for datastores of type file only',
    ])
  })

  test('broken YAML is named for every file', async () => {
    expect(await problems({ 'a.yaml': 'a: [\n', 'b.yaml': 'a: 1\na: 2\n' })).toEqual([
      expect.stringMatching(/^a\.yaml:\d: is not valid YAML/),
      expect.stringMatching(/^b\.yaml:2: is not valid YAML: Map keys must be unique/),
    ])
  })
})

describe('Unknown keys', () => {
  test('get a warning with place and nearest known key, and never stop the start', async () => {
    const { warnings } = await load({
      'a.yaml': `${ONE}uploads:\n  maxByte: 5\nnumWorkers: 3\nthumbnials: {}\ndatastores: [{type: file, id: a, forKinds: [all], opts: {paht: /b, path: /a}}]\n`,
    })
    expect(warnings).toEqual([
      'a.yaml:3: uploads.maxByte: is not a known option and has no effect; the nearest is uploads.maxBytes',
      'a.yaml:4: numWorkers: is not a known option and has no effect; the nearest is downloads.numWorkers',
      'a.yaml:5: thumbnials: is not a known option and has no effect; the nearest is thumbnails',
      'a.yaml:6: datastores[0].opts.paht: is not a known option and has no effect; the nearest is datastores[0].opts.path',
    ])
  })

  test('that do nothing are known, and told apart', async () => {
    const { warnings, withoutEffect } = await load({
      'a.yaml': `${ONE}archiving: {enabled: true}\npgo: {enabled: no}\nplugins: []\n`,
    })
    expect(warnings).toEqual([])
    expect(withoutEffect.map(({ path }) => path.join('.'))).toEqual(['pgo.enabled'])
  })
})

describe('Many homeservers', () => {
  test('200 per-domain files are loaded in well under a second, and other work goes on meanwhile', async () => {
    const names = Array.from({ length: 200 }, (_, index) => `d${index}.example.org`)
    const homeservers = names.map((name) => `  - {name: ${name}, csApi: "http://hs"}`).join('\n')
    const domains = names.map((name, index) => [
      `${name}.yaml`,
      `homeserver: ${name}\nuploads: {maxBytes: ${index + 1}}\n`,
    ])
    await using folder = await temporaryFolder({
      '0.yaml': `homeservers:\n${homeservers}\n`,
      ...Object.fromEntries(domains),
    })

    let snapshot: Snapshot | undefined
    const { longestMs, totalMs, turns } = await pausesOf(async () => {
      snapshot = await loadConfig({ path: folder.path })
    })

    expect(snapshot?.homeservers).toHaveLength(200)
    expect(snapshot?.forHost('d7.example.org')?.uploads.maxBytes).toBe(8)
    expect(totalMs).toBeLessThan(1000)
    // It is done in many pieces: done in one, it would be nearly all of it.
    expect(longestMs).toBeLessThan(totalMs / 2)
    expect(turns).toBeGreaterThan(5)
  })
})

test('A snapshot cannot be changed by whoever holds it', async () => {
  const { main, homeservers } = await loadConfig({})
  expect(() => Reflect.set(main.uploads, 'maxBytes', 1)).not.toThrow()
  expect(Reflect.set(main.uploads, 'maxBytes', 1)).toBe(false)
  expect(Object.isFrozen(homeservers[0]?.thumbnails.sizes[0])).toBe(true)
})
