import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { parse, stringify } from 'yaml'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/app.ts'
import { type Program, runProgram, startProgram, untilReady } from '../support/processes.ts'
import { type Server, startServer } from '../support/server.ts'
import { temporaryFolder } from '../support/folder.ts'
import { describeWith, freePort, freshDatabase } from '../support/services.ts'

const SECRET = 'shared_secret_Cc5m'
const CONFIG = {
  homeservers: [{ name: 'example.org', csApi: 'http://127.0.0.1:9' }],
  sharedSecretAuth: { enabled: true, token: SECRET },
  uploads: { minBytes: 0, maxBytes: 0 },
}
const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))

const HEAD = `Host: example.org\r\nAuthorization: Bearer ${SECRET}\r\n`

async function open(server: Pick<Server, 'port'>) {
  const socket = connect({ port: server.port, host: '127.0.0.1' })
  await once(socket, 'connect')
  return socket
}

async function uploadTo(server: Server, body: Buffer): Promise<string> {
  const headers = { authorization: `Bearer ${SECRET}`, 'x-forwarded-host': 'example.org' }
  const answer = await fetch(`${server.url}/_matrix/media/v3/upload`, {
    method: 'POST',
    body: new Uint8Array(body),
    headers,
  })
  const { content_uri: uri } = JSON.parse(await answer.text()) as { content_uri: string }
  return uri.slice('mxc://'.length)
}

/** The superuser as anybody else: may do nothing to files but what their modes say. */
const LIKE_OTHERS = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : []

/** Runs `cellarium serve` to its end. */
async function serveInVain(folder: string, config: unknown): Promise<{ code: number | null; text: string }> {
  const file = join(await mkdtemp(join(folder, 'config-')), 'cellarium.yaml')
  await writeFile(file, typeof config === 'string' ? config : stringify(config))
  await using program = await startProgram({
    command: [...LIKE_OTHERS, process.execPath, CELLARIUM, 'serve', '-c', file],
    folder,
  })
  const { code } = await program.ended
  return { code, text: program.lines.join('\n') }
}

describe('SIGTERM', () => {
  test('lets a slow download and a slow upload end well, takes nothing new, and the process ends by itself', async () => {
    await using server = await startServer({ config: CONFIG })
    const body = randomBytes(20_000_000)
    const media = await uploadTo(server, body)
    const [download, upload] = [await open(server), await open(server)]
    let received = 0
    let answer = ''
    upload.on('data', (chunk: Buffer) => void (answer += chunk.toString()))
    download.write(`GET /_matrix/client/v1/media/download/${media} HTTP/1.1\r\n${HEAD}\r\n`)
    await once(download, 'readable')
    upload.write(`POST /_matrix/media/v3/upload HTTP/1.1\r\n${HEAD}Content-Length: 10\r\nExpect: 100-continue\r\n\r\n`)
    await eventually(() => answer.includes('100 Continue'))

    server.signal('SIGTERM')
    await eventually(() => server.lines.some((line) => line.includes('answering what is under way')))
    // As a key press comes twice through a launcher.
    server.signal('SIGTERM')
    await eventually(async () => !(await fetch(server.url).catch(() => undefined)))
    upload.write('0123456789')
    await eventually(() => answer.includes('content_uri'))
    expect(answer).toMatch(/HTTP\/1\.1 200 OK[^]*connection: close/i)
    const began = Date.now()
    download.on('data', (chunk: Buffer) => void (received += chunk.length))
    await eventually(() => received > body.length)
    expect(await server.ended).toEqual({ code: 0, signal: null })
    // Connections that are kept alive do not hold it up.
    expect(Date.now() - began).toBeLessThan(5000)
  })

  test('twice ends at once', async () => {
    await using server = await startServer({ config: CONFIG })
    const upload = await open(server)
    upload.on('error', () => {})
    upload.write(`POST /_matrix/media/v3/upload HTTP/1.1\r\n${HEAD}Content-Length: 10\r\n\r\n01234`)
    await eventually(
      async () => (await runProgram({ command: ['ls', join(server.folder, 'data/media/.staging')] })) !== '',
    )
    server.signal('SIGTERM')
    await eventually(() => server.lines.some((line) => line.includes('answering what is under way')))
    await pause(500)
    server.signal('SIGTERM')
    expect((await server.ended).signal).toBeNull()
    expect(await runProgram({ command: ['ls', join(server.folder, 'data/media/.staging')] })).toBe('')
  })
})

test('SIGHUP reads the configuration again; a broken one is not taken', async () => {
  await using server = await startServer({ config: CONFIG })
  const limit = async () => {
    const headers = { authorization: `Bearer ${SECRET}`, 'x-forwarded-host': 'example.org' }
    return (await fetch(`${server.url}/_matrix/media/v3/config`, { headers })).text()
  }
  expect(await limit()).toBe('{}')
  const config = parse(await readFile(server.configFile, 'utf8')) as object
  await writeFile(server.configFile, stringify({ ...config, uploads: { maxBytes: 77 } }))
  server.signal('SIGHUP')
  await eventually(async () => (await limit()) === '{"m.upload.size":77}')
  await writeFile(server.configFile, 'uploads: { maxBytes: many }')
  server.signal('SIGHUP')
  await eventually(() => server.lines.some((line) => line.includes('the old one stays in force')))
  expect(await limit()).toBe('{"m.upload.size":77}')
})

describe('A start', () => {
  test('without any configuration is quick and prints three lines that work when they are pasted', async () => {
    await using folder = await temporaryFolder()
    const environment = { PATH: process.env['PATH'], HOME: folder.path }
    await using server = await startOn8000(folder.path, environment)
    const lines = server.lines.filter((line) => line.startsWith('curl '))
    expect(lines).toHaveLength(3)
    const pasted = await startProgram({ command: ['bash', '-c', lines.join('\n')], folder: folder.path, environment })
    const { code } = await pasted.ended
    const printed = pasted.lines.join('\n')
    expect(printed).toMatch(/^mxc:\/\/localhost\/\S+$/m)
    expect(printed).toMatch(/^downloaded\.png is the same$/m)
    expect(printed).toMatch(/thumbnail\.png$/m)
    expect(code).toBe(0)
    expect((await readFile(join(folder.path, 'thumbnail.png'))).readUInt32BE(16)).toBe(96)
    const token = (await readFile(join(folder.path, 'data', 'admin-token'), 'utf8')).trim()
    expect(server.lines.join('\n')).not.toContain(token)
  })

  test('takes less than two seconds, and a generous five on a busy machine', async () => {
    const began = Date.now()
    await using server = await startServer({ config: CONFIG })
    expect((await fetch(server.url)).status).toBe(404)
    expect(Date.now() - began).toBeLessThan(5000)
  })

  test('on a port that is taken says so and ends with 1, so that it is started again', async () => {
    await using server = await startServer({ config: CONFIG })
    await using folder = await temporaryFolder()
    const repo = { bindAddress: '127.0.0.1', port: server.port, dataPath: join(folder.path, 'data'), logDirectory: '-' }
    const { code, text } = await serveInVain(folder.path, { ...CONFIG, repo })
    expect(code).toBe(1)
    expect(text).toContain(`cannot listen on 127.0.0.1:${server.port} (repo.bindAddress, repo.port)`)
    expect(text).not.toMatch(/^\s+at /m)
  })

  test('without a datastore that files lie in says what would be lost and ends with 2', async () => {
    await using folder = await temporaryFolder()
    {
      await using server = await startServer({ folder: folder.path, config: CONFIG })
      await uploadTo(server, randomBytes(300))
    }
    const repo = {
      bindAddress: '127.0.0.1',
      port: await freePort(),
      dataPath: join(folder.path, 'data'),
      logDirectory: '-',
    }
    const datastores = [{ type: 'file', id: 'new', forKinds: ['all'], opts: { path: join(folder.path, 'new') } }]
    const { code, text } = await serveInVain(folder.path, { ...CONFIG, repo, datastores })
    expect(code).toBe(2)
    expect(text).toContain('media is not configured, but the database has 1 object (300 bytes) in it')
    expect(text).not.toMatch(/^\s+at /m)
  })

  test('on a database that another server uses says so and ends with 1', async () => {
    await using server = await startServer({ config: CONFIG })
    await using folder = await temporaryFolder()
    const repo = { port: await freePort(), dataPath: join(server.folder, 'data'), logDirectory: '-' }
    const { code, text } = await serveInVain(folder.path, { ...CONFIG, repo })
    expect(code).toBe(1)
    expect(text).toContain('another Cellarium server uses')
  })

  test('while its database or a datastore cannot be had says so and ends with 1, so that it is started again', async () => {
    await using folder = await temporaryFolder({ file: '' })
    const unused = await freePort()
    const path = join(folder.path, 'file', 'media')
    const repo = { port: await freePort(), dataPath: join(folder.path, 'data'), logDirectory: '-' }
    const [database, datastore] = await Promise.all([
      serveInVain(folder.path, {
        ...CONFIG,
        repo,
        database: { postgres: `postgres://media:hush@127.0.0.1:${unused}/media?sslmode=disable` },
      }),
      serveInVain(folder.path, {
        ...CONFIG,
        repo,
        datastores: [{ type: 'file', id: 'main', forKinds: ['all'], opts: { path } }],
      }),
    ])
    expect(database).toEqual({
      code: 1,
      text: expect.stringMatching(/cannot use the database PostgreSQL \(database\.postgres\): .*ECONNREFUSED/),
    })
    expect(datastore).toEqual({ code: 1, text: expect.stringMatching(/datastore main cannot be opened: ENOTDIR/) })
  })

  test('on a database that was made by another user says what is wrong, and ends with 1', async () => {
    await using folder = await temporaryFolder()
    {
      await using server = await startServer({ folder: folder.path, config: CONFIG })
      await uploadTo(server, randomBytes(300))
    }
    const database = join(folder.path, 'data', 'cellarium.sqlite')
    await chmod(database, 0o444)
    const repo = { port: await freePort(), dataPath: join(folder.path, 'data'), logDirectory: '-' }
    const { code, text } = await serveInVain(folder.path, { ...CONFIG, repo })
    expect(code).toBe(1)
    expect(text).toContain(`cannot use the database ${database} (database.sqlite): EACCES: permission denied`)
    expect(text).not.toMatch(/^\s+at /m)
  })

  test.each([
    ['a wrong value', { ...CONFIG, uploads: { maxBytes: 'many' } }, /cellarium\.yaml:\d+.*uploads\.maxBytes/],
    ['no YAML', 'homeservers: [', /cellarium\.yaml/],
    ['a datastore without a path', { ...CONFIG, datastores: [{ type: 'file', forKinds: ['all'] }] }, /opts\.path/],
  ])('with %s in the configuration says where and ends with 2', async (_, config, where) => {
    await using folder = await temporaryFolder()
    const { code, text } = await serveInVain(folder.path, config)
    expect(code).toBe(2)
    expect(text).toMatch(where)
    expect(text).not.toMatch(/^\s+at /m)
  })

  test('with a configuration that is not there says so and ends with 2', async () => {
    await using program = await startProgram({ command: [process.execPath, CELLARIUM, '-c', '/nowhere/c.yaml'] })
    expect(await program.ended).toMatchObject({ code: 2 })
    expect(program.lines.join('\n')).toContain('/nowhere/c.yaml')
  })
})

describeWith('postgres', 'A start on a PostgreSQL that takes no changes, as a standby,', () => {
  test('says so and ends with 1', async () => {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    const config = { ...CONFIG, database: { postgres: database.url } }
    {
      await using _ = await startServer({ folder: folder.path, config })
    }
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    await client.query(
      `ALTER DATABASE ${new URL(database.url).pathname.slice(1)} SET default_transaction_read_only = on`,
    )
    await client.end()
    const repo = { port: await freePort(), dataPath: join(folder.path, 'data'), logDirectory: '-' }
    const { code, text } = await serveInVain(folder.path, { ...config, repo })
    expect(code).toBe(1)
    expect(text).toContain('the start needs what cannot be used now: cannot execute INSERT in a read-only transaction')
    expect(text).not.toContain('nobody foresaw')
  })
})

/** Without a configuration it is port 8000, which some other program of the machine may have for a while. */
async function startOn8000(folder: string, environment: NodeJS.ProcessEnv): Promise<Program> {
  await eventually(() => isFree(8000))
  const program = await startProgram({ command: [process.execPath, CELLARIUM], folder, environment })
  await untilReady(program, async () => (await fetch('http://127.0.0.1:8000/healthz')).ok)
  await eventually(() => program.lines.some((line) => line.includes('thumbnail.png')))
  return program
}

async function isFree(port: number): Promise<boolean> {
  return await fetch(`http://127.0.0.1:${port}`).then(
    () => false,
    () => true,
  )
}
