import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { temporaryFolder } from '../../test/support/folder.ts'
import { configSource } from './config-source.ts'
import { configCommand } from './config.ts'

/** Runs `cellarium config …` and gives what it wrote and its exit status. */
async function run(...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  vi.spyOn(console, 'log').mockImplementation((text) => void out.push(String(text)))
  vi.spyOn(console, 'error').mockImplementation((text) => void err.push(String(text)))
  await configCommand().parseAsync(args, { from: 'user' })
  const status = process.exitCode ?? 0
  process.exitCode = undefined
  return { out: out.join('\n'), err: err.join('\n'), status }
}

beforeEach(() => void vi.stubEnv('REPO_CONFIG', ''))
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

describe('cellarium config check', () => {
  test('says that a good configuration can be used, and what in it has no effect', async () => {
    await using folder = await temporaryFolder({
      'a.yaml':
        'homeservers: [{name: a.org, csApi: "http://x"}]\narchiving: {enabled: true, selfService: true}\nfoo: 1\npgo: {enabled: true}\n',
      'b.yaml': 'homeserver: a.org\nadmins: ["@a:a.org"]\n',
    })
    const { out, err, status } = await run('check', '--config', folder.path)
    expect([err, status]).toEqual(['', 0])
    expect(out.replaceAll(`${folder.path}/`, '').split('\n')).toEqual([
      'warning: a.yaml:3: foo: is not a known option and has no effect',
      'warning: b.yaml:2: admins: is ignored: only the main configuration may set it, no per-domain file',
      'note: a.yaml: pgo: measures MMR’s Go program; accepted and ignored for good: pgo.enabled',
      'The configuration can be used: 1 homeserver, 1 datastore.',
    ])
  })

  test('names every problem of a bad one on the error output and ends with 2', async () => {
    await using folder = await temporaryFolder({ 'a.yaml': 'repo: {port: x}\nuploads: {maxBytes: y}\n' })
    const { out, err, status } = await run('check', '--config', `${folder.path}/a.yaml`)
    expect([out, status]).toEqual(['', 2])
    expect(err.split('\n').filter((line) => !line.startsWith('warning: '))).toHaveLength(2)
  })

  test('names slips in keys beside the problems: what is missing may be there under another name', async () => {
    await using folder = await temporaryFolder({ 'a.yaml': 'homeservers: [{name: a.org, csAddress: "http://x"}]\n' })
    const { err, status } = await run('check', '--config', `${folder.path}/a.yaml`)
    expect(status).toBe(2)
    expect(err.replaceAll(`${folder.path}/`, '').split('\n')).toEqual([
      'warning: a.yaml:1: homeservers[0].csAddress: is not a known option and has no effect',
      expect.stringMatching(/^a.yaml:1: homeservers\[0\].csApi: is missing: /),
    ])
  })

  test('warns of what can be used and cannot be meant', async () => {
    await using folder = await temporaryFolder({
      'a.yaml':
        'homeservers: [{name: a.org, csApi: "http://x/_matrix/client"}]\nadmins: ["@a:a.org", "me", "@me:b.org"]\n' +
        'redis: {enabled: true}\nsentry: {enabled: true}\nuploads: {minBytes: 100, maxBytes: 10}\ndatastores: [{type: file, id: a, opts: {path: x}}]\n',
    })
    const { out, status } = await run('check', '--config', `${folder.path}/a.yaml`)
    expect(status).toBe(0)
    expect(out.replaceAll(`${folder.path}/`, '').split('\n')).toEqual([
      `warning: a.yaml:2: admins[1]: "me" is no user id like @you:example.org, so it is nobody's`,
      `warning: a.yaml:2: admins[2]: @me:b.org is of no homeserver that is served here, so it is nobody's`,
      'warning: a.yaml:3: redis.shards: names no server, so that Redis is not used although it is enabled',
      'warning: a.yaml:4: sentry.dsn: is empty, so that nothing is reported although Sentry is enabled',
      'warning: a.org: no datastore takes local_media (forKinds), so that uploads are refused',
      'warning: a.org: uploads.minBytes (100) is more than uploads.maxBytes (10), so that uploads are refused',
      'warning: a.org: csApi is http://x/_matrix/client; it should end before /_matrix, which is added to it',
      'The configuration can be used: 1 homeserver, 1 datastore.',
    ])
  })

  test('warns of types that no thumbnails are made of, once for all homeservers, and of keys that cannot be used', async () => {
    const more = 'signingKeyPath: none.key'
    await using folder = await temporaryFolder({
      'a.yaml':
        `homeservers: [{name: a.org, csApi: "http://x", ${more}}, {name: b.org, csApi: "http://y"}]\n` +
        'thumbnails: {types: [image/jpeg, image/jpge, application/pdf]}\n',
      'b.yaml': 'homeserver: b.org\nthumbnails: {types: [image/png, image/*]}\n',
    })
    const { out, status } = await run('check', '--config', folder.path)
    expect(status).toBe(0)
    expect(out.replaceAll(`${folder.path}/`, '').split('\n')).toEqual([
      'warning: a.yaml:2: thumbnails.types[1]: "image/jpge" is no type that thumbnails are made of; docs/thumbnails.md has all that are',
      'warning: b.org: thumbnails.types: "image/*" is no type that thumbnails are made of; docs/thumbnails.md has all that are',
      expect.stringMatching(/^warning: a\.org: .*none\.key.*, so that authenticated media of other servers cannot be/),
      'The configuration can be used: 2 homeservers, 1 datastore.',
    ])
  })

  test('reads REPO_CONFIG, and --config wins over it', async () => {
    await using folder = await temporaryFolder({ 'a.yaml': 'foo: 1', 'b.yaml': 'bar: 1' })
    vi.stubEnv('REPO_CONFIG', `${folder.path}/a.yaml`)
    expect((await run('check')).out).toContain('foo')
    expect((await run('check', '--config', `${folder.path}/b.yaml`)).out).not.toContain('foo')
  })
})

describe('cellarium config print', () => {
  test('shows what is in force without a secret', async () => {
    const secrets = ['hush1', 'hush2', 'hush3', 'hush4', 'hush5', 'hush6', 'hush7']
    await using folder = await temporaryFolder({
      'a.yaml': `homeservers: [{name: a.org, csApi: "http://x"}, {name: b.org, csApi: "http://y"}]
database: {postgres: "postgres://user:hush1@db/media?sslmode=disable"}
sharedSecretAuth: {enabled: true, token: hush2}
accessTokens: {appservices: [{id: x, asToken: hush3}]}
datastores: [{type: s3, id: s, forKinds: [all], opts: {endpoint: e, bucketName: b, accessKeyId: hush4, accessSecret: hush5}}]
sentry: {dsn: "https://hush6@sentry.example.org/1"}
plugins: [{exec: /p, config: {apiKey: hush7, level: 3}}]
`,
      'b.yaml': 'homeserver: b.org\nuploads: {maxBytes: 5}\nrepo: {freezeUnauthenticatedMedia: false}\n',
    })
    const { out, status } = await run('print', '--config', folder.path)
    expect(status).toBe(0)
    for (const secret of secrets) expect(out).not.toContain(secret)
    expect(out).toContain('postgres: postgres://user:********@db/media?sslmode=disable')
    expect(out).toContain('level: 3')
    const [, domain, ...others] = out.split('---\n')
    expect(domain).toBe('homeserver: b.org\nrepo:\n  freezeUnauthenticatedMedia: false\nuploads:\n  maxBytes: 5')
    expect(others).toEqual([])
  })

  test.each([
    ["host=db password='hush it' user=me", 'host=db password=******** user=me'],
    ['postgresql://u:hu:sh@db/x?password=hush&a=b', 'postgresql://u:********@db/x?password=********&a=b'],
    ['something else hush', '********'],
  ])('masks the password of %j', async (dsn, shown) => {
    await using folder = await temporaryFolder({ 'a.yaml': `database: {postgres: ${JSON.stringify(dsn)}}` })
    expect((await run('print', '--config', folder.path)).out).toContain(
      `postgres: ${shown}`.replace(': ********', ': "********"'),
    )
  })
})

test('cellarium config schema and sample print what editors and administrators need', async () => {
  expect(JSON.parse((await run('schema')).out)).toMatchObject({ title: 'Cellarium configuration' })
  expect((await run('sample')).out).toContain('homeservers:')
})

test('An empty environment variable counts as none', () => {
  const environment = { REPO_CONFIG: '', CELLARIUM_DATA: '/d', CELLARIUM_SERVER_NAME: 'a.org', CELLARIUM_CS_API: '' }
  expect(configSource({}, environment)).toEqual({
    path: undefined,
    dataPath: '/d',
    serverName: 'a.org',
    csApi: undefined,
  })
  expect(configSource({ data: '/e', config: 'x' }, { REPO_CONFIG: 'y', CELLARIUM_DATA: '/d' })).toMatchObject({
    path: 'x',
    dataPath: '/e',
  })
})
