/** Exports and imports whose process is killed at any moment: what comes of them in the end is what would have come of them anyway. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BASE, filesIn, manifestOf, sha256 } from '../support/archives.ts'
import { type Folder, temporaryFolder } from '../support/folder.ts'
import { runProgram, startProgram } from '../support/processes.ts'
import { seededRandom } from '../support/random.ts'
import { type Server, startServer } from '../support/server.ts'

const SECRET = 'shared_secret_Zk3m'
const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))
const KILLS = 2
const PATIENT = { timeout: 240_000 }
const random = seededRandom()
console.log(`archive-crash.test.ts: seed ${random.seed}; CELLARIUM_TEST_SEED=${random.seed} has the same moments again`)

/** Found by the address at which it is asked. */
const config = {
  homeservers: [{ name: '127.0.0.1', csApi: 'http://127.0.0.1:1' }],
  sharedSecretAuth: { enabled: true, token: SECRET },
  archiving: { targetBytesPerPart: 60_000 },
  uploads: { minBytes: 0 },
}

let here: Folder
let there: Folder
const sent = new Map<string, string>()
beforeAll(async () => {
  ;[here, there] = await Promise.all([temporaryFolder(), temporaryFolder()])
  await using server = await startServer({ config, folder: here.path })
  for (let n = 0; n < 40; n++) {
    const body = randomBytes(10_000 + n)
    const { content_uri: uri } = await ask(server, '/_matrix/media/v3/upload', body)
    sent.set(String(uri), sha256(body))
  }
}, 120_000)
afterAll(async () => {
  await here[Symbol.asyncDispose]()
  await there[Symbol.asyncDispose]()
})

async function ask(server: Server, path: string, body?: Buffer, method = 'POST'): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${SECRET}`, 'content-type': 'image/png' }
  const answer = await fetch(`${server.url}${path}`, {
    method,
    headers,
    ...(body ? { body: new Uint8Array(body) } : {}),
  })
  const json = (await answer.json()) as Record<string, unknown>
  if (answer.status !== 200) throw new Error(JSON.stringify(json))
  return json
}

function sql(folder: Folder, statement: string): Record<string, unknown>[] {
  using database = new DatabaseSync(join(folder.path, 'data', 'cellarium.sqlite'), { timeout: 10_000 })
  return database.prepare(statement).all()
}

/** Kills a server some times while it works on a task, and has the last one go on to the end. */
async function killedOver(folder: Folder, begin: (server: Server) => Promise<number>): Promise<Server> {
  let server = await startServer({ config, folder: folder.path })
  const task = await begin(server)
  for (let kill = 0; kill < KILLS; kill++) {
    await pause(random.below(200))
    await server.stop('SIGKILL')
    server = await startServer({ config, folder: folder.path })
  }
  for (let waited = 0; waited < 1200; waited++) {
    const { is_finished: done, error_message: problem } = await ask(server, `${BASE}/tasks/${task}`, undefined, 'GET')
    if (problem !== '') throw new Error(String(problem))
    if (done === true) return server
    await pause(100)
  }
  throw new Error('the task does not end')
}

/** Holds the files of an archive against what was uploaded. */
async function expectAll(files: readonly Buffer[]): Promise<void> {
  const manifest = await manifestOf(files.at(-1) ?? Buffer.alloc(0))
  const media = new Map(manifest?.media.map((one) => [`mxc://${one.origin}/${one.mediaId}`, one]))
  expect(manifest?.media).toHaveLength(sent.size)
  const bytes = new Map<string, string>()
  for (const file of files.slice(0, -1)) {
    for (const [name, body] of await filesIn(file)) {
      expect(bytes.has(name), `${name} is in the archive once`).toBe(false)
      bytes.set(name, sha256(body))
    }
  }
  expect(bytes.size).toBe(sent.size)
  for (const [uri, hash] of sent) expect(bytes.get(media.get(uri)?.fileName ?? '')).toBe(hash)
}

const of = (where: Folder) => ['-config', join(where.path, 'cellarium.yaml')]
const run = (name: string, args: readonly string[]) => [process.execPath, CELLARIUM, name, ...args]

let archive: Buffer[]

test('An export by the API', PATIENT, async () => {
  let id = ''
  await using server = await killedOver(here, async (first) => {
    const begun = await ask(first, `${BASE}/server/127.0.0.1/export`)
    id = String(begun['export_id'])
    return Number(begun['task_id'])
  })
  const { parts } = await ask(server, `${BASE}/export/${id}/metadata`, undefined, 'GET')
  archive = []
  for (const { index } of parts as { index: number }[]) {
    const answer = await fetch(`${server.url}${BASE}/export/${id}/part/${index}`)
    archive.push(Buffer.from(await answer.arrayBuffer()))
  }
  expect(archive.length).toBeGreaterThan(6)
  await expectAll(archive)
})

test('An import by the API', PATIENT, async () => {
  await using _ = await killedOver(there, async (first) => {
    const { import_id: id, task_id: task } = await ask(first, `${BASE}/import`, archive.at(-1))
    for (const part of archive.slice(0, -1)) await ask(first, `${BASE}/import/${String(id)}/part`, part)
    return Number(task)
  })
  const rows = 'SELECT media_id, sha256, created_at, uploader, upload_name, content_type FROM media ORDER BY media_id'
  expect(sql(there, rows)).toEqual(sql(here, rows))
  const objects = 'SELECT count(*) AS count FROM objects'
  expect(sql(there, objects)).toEqual(sql(here, objects))
  const usage =
    "SELECT sum(files) AS files, sum(bytes) AS bytes FROM (SELECT * FROM usage_totals UNION ALL SELECT subject, bytes, files FROM usage_changes) WHERE subject = 'server:127.0.0.1'"
  expect(sql(there, usage)).toEqual(sql(here, usage))
  expect(sql(there, 'SELECT * FROM archive_import_parts')).toEqual([])
})

test('gdpr_export and gdpr_import', PATIENT, async () => {
  await using folder = await temporaryFolder()
  const destination = join(folder.path, 'archive')
  const exporting = run('gdpr_export', [...of(here), '-entity', '127.0.0.1', '-destination', destination])
  for (let kill = 0; kill < KILLS; kill++) await killAfter(exporting, 400 + random.below(900))
  const left: string[] = await readdir(destination).catch(() => [])
  if (!left.includes('export-manifest.tgz')) await runProgram({ command: exporting })
  const names = (await readdir(destination)).filter((name) => name.endsWith('.tgz'))
  const parts = names.filter((name) => name.includes('part'))
  expect(await readdir(destination), 'nothing but the archive is left').toHaveLength(names.length)
  const files = [...parts, 'export-manifest.tgz'].map((name) => readFile(join(destination, name)))
  await expectAll(await Promise.all(files))
  const whole = run('gdpr_export', [...of(here), '-entity', '127.0.0.1', '-destination', join(folder.path, 'whole')])
  const [{ count } = {}] = sql(here, 'SELECT count(*) AS count FROM media')
  expect((await runProgram({ command: whole })).split('\n')).toContain(`${String(count)} media`)

  await using empty = await temporaryFolder()
  await empty.write('cellarium.yaml', JSON.stringify({ ...config, repo: { dataPath: join(empty.path, 'data') } }))
  const importing = run('gdpr_import', [...of(empty), '-directory', destination])
  for (let kill = 0; kill < KILLS; kill++) await killAfter(importing, 400 + random.below(900))
  const temporary: string[] = await readdir(join(empty.path, 'data', 'staging')).catch(() => [])
  expect(temporary, 'nothing is left of what they noted on the way').toEqual([])
  expect(await runProgram({ command: importing })).toContain('All MXC URIs have been imported.')
  const rows = 'SELECT media_id, sha256, created_at, uploader, upload_name, content_type FROM media ORDER BY media_id'
  expect(sql(empty, rows)).toEqual(sql(here, rows))
  expect(await runProgram({ command: [...importing, '-verify'] })).toContain('All is here.')
})

async function killAfter(command: readonly string[], ms: number): Promise<void> {
  await using program = await startProgram({ command })
  await Promise.race([pause(ms), program.ended])
  await program.stop('SIGKILL')
}
