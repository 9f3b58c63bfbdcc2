import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE, startApp, type TestApp } from '../support/app.ts'

const ADMIN = { token: 'syt_admin_Hh4s', userId: '@admin:example.org' }
const BASE = '/_matrix/media/unstable/admin'

let app: TestApp
beforeAll(async () => {
  app = await startApp({ config: { admins: [ADMIN.userId], quarantine: { replaceThumbnails: false } } })
  app.homeserver.addUser(ADMIN)
})
afterAll(() => app[Symbol.asyncDispose]())

const post = (path: string, token = ADMIN.token) => app.ask(`${BASE}/${path}`, { method: 'POST', token })
const list = async (query = '') => (await app.ask(`${BASE}/reports${query}`, { token: ADMIN.token })).json
const reportsOf = (json: Record<string, unknown>) => json['reports'] as Record<string, unknown>[]
const download = (media: string) => app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token })

test('Administrators report media, dismiss reports, quarantine what is reported, and see all of it', async () => {
  const [fine, bad] = [await app.upload('fine'), await app.upload('bad')]
  const second = await app.upload('bad', { name: 'other.png' })
  for (const media of [fine, bad, second]) {
    expect((await post(`report/${media}?reason=${encodeURIComponent('ünschön')}`)).json).toEqual({ reported: true })
  }
  expect((await post(`report/${bad}`)).json).toEqual({ reported: false })

  const all = await list()
  expect(all).toMatchObject({ open: 3, open_by_source: { administrator: 3 } })
  expect(reportsOf(all)[0]).toEqual({
    report_id: expect.any(String),
    mxc: `mxc://${fine}`,
    sha256: createHash('sha256').update('fine').digest('hex'),
    source: 'administrator',
    reason: 'ünschön',
    reported_by: ADMIN.userId,
    created_ts: expect.any(Number),
    closed_ts: null,
    outcome: null,
    closed_by: null,
  })
  const page = await list('?limit=2')
  const rest = await list(`?limit=2&from=${String(page['next_batch'])}`)
  expect([...reportsOf(page), ...reportsOf(rest)]).toEqual(reportsOf(all))
  expect(rest['next_batch']).toBeUndefined()

  const [first, other] = reportsOf(all).map((report) => String(report['report_id']))
  expect((await post(`reports/${first}/dismiss`)).json).toMatchObject({ outcome: 'dismissed', closed_by: ADMIN.userId })
  expect((await download(fine)).status).toBe(200)
  expect((await post(`reports/${other}/quarantine`)).json).toMatchObject({ outcome: 'quarantined' })
  for (const media of [bad, second]) expect((await download(media)).status).toBe(404)
  expect(await list()).toMatchObject({ reports: [], open: 0, open_by_source: {} })
  expect(reportsOf(await list('?state=closed')).map(({ outcome }) => outcome)).toEqual([
    'dismissed',
    'quarantined',
    'quarantined',
  ])
  const audit = await app.ask(`${BASE}/audit?limit=4`, { token: ADMIN.token })
  const lines = audit.json['entries'] as Record<string, unknown>[]
  expect(lines.map(({ action, subject, affected }) => [action, subject, affected])).toEqual([
    ['quarantine_report', `mxc://${bad}`, 2],
    ['quarantine_media', `mxc://${bad}`, 2],
    ['dismiss_report', `mxc://${fine}`, 1],
    ['report_media', `mxc://${bad}`, 0],
  ])
  // What is decided stays so.
  expect((await post(`reports/${first}/dismiss`)).json).toMatchObject({ outcome: 'dismissed' })
})

test('Nobody else reads the queue or decides about it, and what is not there is not found', async () => {
  for (const path of ['reports/abc/dismiss', 'reports/abc/quarantine', 'report/example.org/abc']) {
    expect(await post(path, ALICE.token)).toMatchObject({ status: 403, json: { errcode: 'M_FORBIDDEN' } })
    expect(await post(path)).toMatchObject({ status: 404, json: { errcode: 'M_NOT_FOUND' } })
  }
  expect(await app.ask(`${BASE}/reports`, { token: ALICE.token })).toMatchObject({ status: 403 })
  for (const query of ['?state=all', '?limit=0', '?from=yesterday']) {
    const answered = await app.ask(`${BASE}/reports${query}`, { token: ADMIN.token })
    expect(answered).toMatchObject({ status: 400, json: { errcode: 'M_INVALID_PARAM' } })
  }
})
