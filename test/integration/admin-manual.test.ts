/** The examples of docs/admin-api.md, pasted into a shell. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../support/app.ts'
import { exported, tarOf } from '../support/archives.ts'
import { expectAsDescribed } from '../support/as-described.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startProgram } from '../support/processes.ts'
import { describeWith } from '../support/services.ts'

const ADMIN = { token: 'syt_admin_Vd8x', userId: '@admin:example.org', admin: true }
const BASE = '/_matrix/media/unstable/admin'

const manual = readFileSync(new URL('../../docs/admin-api.md', import.meta.url), 'utf8')
const examples = Array.from(manual.matchAll(/^```sh\n(curl .*?)\n```$/gms), ([, command = '']) => command)
/** Method, if it is said, and address. */
const titleOf = (command: string) => (command.match(/-X \w+|\$CELLARIUM[^"]+/g) ?? []).join(' ')
/** Ask a server that is not there. */
const toOtherServers = (command: string) => command.includes('$OTHER_SERVER')

let app: TestApp
let folder: Awaited<ReturnType<typeof temporaryFolder>>
beforeAll(async () => {
  // As behind a proxy: the address is that of the homeserver. What is refused ends curl with 22.
  folder = await temporaryFolder({
    '.curlrc': 'header = "Host: example.org"\nfail-with-body\nwrite-out = "\\n%{method} %{url}"\n',
  })
  const store = (id: string) => ({ type: 'file', id, forKinds: ['all'], opts: { path: join(folder.path, id) } })
  const config = { admins: [ADMIN.userId], datastores: [store('main'), store('new')] }
  app = await startApp({ config, homeserver: { adminApiKind: 'synapse' } })
  app.homeserver.addUser(ADMIN)
  await writeFile(join(folder.path, 'export-part-1.tgz'), EMPTY_PART)
  app.homeserver.addRoom('!abc:example.org', { local: [], remote: [] })
})
afterAll(async () => {
  await app[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** A file of an archive, and no reason to import anything. */
const EMPTY_PART = await tarOf()

const post = async (path: string) => (await app.ask(`${BASE}/${path}`, { method: 'POST', token: ADMIN.token })).json

/** What the page asks to be set, each time with things that nobody has used yet. */
async function variables(): Promise<Record<string, string>> {
  const [media, reported] = [await app.upload(randomBytes(40)), await app.upload(randomBytes(40))]
  await post(`report/${reported}`)
  const { reports } = (await app.ask(`${BASE}/reports`, { token: ADMIN.token })).json as {
    readonly reports: readonly { readonly report_id: string }[]
  }
  // Those that ended long ago are swept away.
  const now = Date.now()
  const [task] = app.sql(
    `INSERT INTO tasks (id, name, params, progress, started_at, ended_at, error)
     SELECT coalesce(max(id), 0) + 1, 'of_another_version', '{}', '{}', ${now}, ${now}, 'went wrong' FROM tasks RETURNING id`,
  )
  return {
    CELLARIUM: app.url,
    TOKEN: ADMIN.token,
    SERVER: 'example.org',
    MEDIA_ID: media.split('/')[1] ?? '',
    USER_ID: '@alice:example.org',
    ROOM_ID: '!abc:example.org',
    OTHER_SERVER: 'nowhere.invalid',
    DATASTORE: 'main',
    OTHER_DATASTORE: 'new',
    TASK_ID: String(task?.['id']),
    REPORT_ID: reports.at(-1)?.report_id ?? '',
    EXPORT_ID: await exported(app, '@alice:example.org', ADMIN.token),
    IMPORT_ID: String(
      (await app.ask(`${BASE}/import`, { method: 'POST', token: ADMIN.token, body: EMPTY_PART })).json['import_id'],
    ),
    PART: '1',
    NUMBER: '1',
    FILE: 'export-part-1.tgz',
  }
}

describeWith('curl', 'The manual of the administration API', () => {
  test('has examples', () => expect(examples.length).toBeGreaterThan(50))

  test.each(examples.map((command) => [titleOf(command), command] as const))(
    'has an example that works: %s',
    async (_, command) => {
      const environment = { PATH: process.env['PATH'], CURL_HOME: folder.path, ...(await variables()) }
      await using run = await startProgram({ command: ['bash', '-euc', command], folder: folder.path, environment })
      const { code } = await run.ended
      const printed = run.lines.join('\n')
      if (toOtherServers(command)) return expect([0, 22], printed).toContain(code)
      expect(code, printed).toBe(0)
      const [, body = '', method = '', url = ''] = /^(.*?)\n?([A-Z]+) (\S+)$/s.exec(printed) ?? []
      const json: unknown = body === '' ? undefined : JSON.parse(body)
      expectAsDescribed({ method, path: url.slice(app.url.length), status: 200, json })
    },
  )
})
