import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { differences, normalised } from '../support/compared.ts'
import { describeWith } from '../support/services.ts'
import { type Asked, ourSide, type Side, SERVER_NAME, synapseSide } from '../support/two-sides.ts'
import { noise } from '../support/images.ts'

/**
 * Where Cellarium's answers differ from those of Synapse with its own media repository, and why. What is not listed here fails, and
 * so does what is listed and does not differ any more.
 */
const KNOWN: readonly (readonly [difference: RegExp, reason: string])[] = [
  [/\.mr_errcode: absent → /, 'refusals carry the code of matrix-media-repo as well, here as everywhere'],
  [/\.(authenticated|safe_from_quarantine|quarantined): (1 → true|0 → false)$/, 'Synapse gives what its SQLite has'],
  [/\.last_access_ts: null → "a time"$/, 'what nobody read yet was last accessed when it came'],
  [
    /\.displayname: "\w+" → "@\w+:example.org"$/,
    'names are the homeserver’s; as in matrix-media-repo, these are the ids',
  ],
  [/\/protect\/nothing\.body\.errcode: "M_UNKNOWN" → "M_NOT_FOUND"$/, 'the code for what is not there'],
  [/\/unprotect\/more\.txt\.body\.errcode: "M_UNKNOWN" → "M_NOT_FOUND"$/, 'the same'],
  [/quarantine_media\/ROOM\.body\.num_quarantined: 2 → 0$/, 'what is quarantined already is not counted again'],
]

describeWith('synapse', "Synapse's media admin API", () => {
  test('answers as Synapse does, but for what is known to differ', { timeout: 180_000 }, async () => {
    const picture = await noise({ width: 60, height: 40 }).png().toBuffer()
    // One after the other: two that start at once on a busy machine take more than twice as long.
    const theirs = await toldBy(synapseSide, picture)
    const ours = await toldBy(ourSide, picture)
    const found = theirs.flatMap(([step, answer], index) => differences(answer, ours[index]?.[1], step))
    const unlisted = found.filter((one) => !KNOWN.some(([known]) => known.test(one)))
    const stale = KNOWN.filter(([known]) => !found.some((one) => known.test(one))).map(([known]) => String(known))
    expect({ unlisted, stale }).toEqual({ unlisted: [], stale: [] })
    expect(theirs.length).toBeGreaterThan(80)
  })
})

async function toldBy(start: () => Promise<Side>, picture: Uint8Array): Promise<Told> {
  await using side = await start()
  return await conversation(side, picture)
}

const idOf = (uri: string) => uri.split('/').at(-1) ?? ''
const text = (length: number) => new Uint8Array(length).fill(97)

type Told = readonly [step: string, answer: unknown][]

/** What both are asked, and what they answered. */
async function conversation(side: Side, picture: Uint8Array): Promise<Told> {
  const told: [string, unknown][] = []
  const names = new Map<string, string>()
  const tokens = { admin: side.user('admin').accessToken, alice: side.user('alice').accessToken }
  const ask = async (path: string, asked: Asked = {}, step = `${asked.method ?? 'GET'} ${path}`) => {
    const { status, body } = await side.ask(path, { token: tokens.admin, ...asked })
    const got = { status, body }
    const isTied = /order_by=(quarantined_by|safe_from)/.test(path)
    told.push([withoutIds(step), isTied ? sortedMedia(normalised(got, names)) : normalised(got, names)])
    return got.body as Record<string, unknown>
  }
  const withoutIds = (step: string) =>
    [...names].reduce(
      (text, [id, name]) => text.replaceAll(id, name),
      decodeURIComponent(step).replace('/_synapse/admin/v1/', ''),
    )
  const admin = (path: string, asked?: Asked) => ask(`/_synapse/admin/v1/${path}`, asked)
  const post = (path: string) => admin(path, { method: 'POST', body: {} })
  const upload = async (name: string, body: Uint8Array, type: string, user = 'alice') => {
    const token = side.user(user).accessToken
    const got = await side.ask(`/_matrix/media/v3/upload?filename=${name}`, { method: 'POST', token, body, type })
    const uri = String((got.body as Record<string, unknown>)['content_uri'])
    names.set(uri.slice(`mxc://${SERVER_NAME}/`.length), name)
    // Times of creation decide about the order.
    await pause(5)
    return uri
  }
  const one = await upload('one.png', picture, 'image/png')
  const two = await upload('two.txt', text(67), 'text/plain')
  const three = await upload('three.txt', text(300), 'text/html')
  const copy = await upload('copy.png', picture, 'image/png', 'bob')
  const bobs = await upload('bobs.txt', text(10), 'text/plain', 'bob')
  const alice = encodeURIComponent(`@alice:${SERVER_NAME}`)
  const bob = encodeURIComponent(`@bob:${SERVER_NAME}`)
  const nameOf = (uri: string) => `${SERVER_NAME}/${idOf(uri)}`

  for (const token of [undefined, tokens.alice]) {
    for (const path of [
      `users/${alice}/media`,
      `media/${nameOf(one)}`,
      'media/quarantine_changes',
      'statistics/users/media',
    ]) {
      await ask(`/_synapse/admin/v1/${path}`, { token }, `${path} as ${token ? 'alice' : 'nobody'}`)
    }
    for (const path of [
      `media/quarantine/${nameOf(one)}`,
      `media/protect/${idOf(one)}`,
      'media/delete',
      'purge_media_cache',
    ]) {
      await ask(`/_synapse/admin/v1/${path}`, { token, method: 'POST' }, `${path} as ${token ? 'alice' : 'nobody'}`)
    }
  }

  // A user's media.
  const orders = ['media_id', 'upload_name', 'created_ts', 'media_length', 'media_type', 'quarantined_by']
  // By ids, both sides have an order of their own.
  for (const order of [...orders.slice(1), 'safe_from_quarantine']) {
    await admin(`users/${alice}/media?order_by=${order}`)
    await admin(`users/${alice}/media?order_by=${order}&dir=b`)
  }
  for (const query of [
    '',
    '?dir=f',
    '?dir=b',
    '?limit=2',
    '?limit=2&from=2',
    '?limit=3',
    '?from=3',
    '?from=9',
    '?limit=0',
  ]) {
    await admin(`users/${alice}/media${query}`)
  }
  for (const query of ['order_by=size', 'dir=up', 'limit=-1', 'from=-1', 'limit=x', 'from=1.5']) {
    await admin(`users/${alice}/media?${query}`)
  }
  for (const user of ['@alice:elsewhere.org', '@nobody:example.org', '@admin:example.org', 'alice']) {
    await admin(`users/${encodeURIComponent(user)}/media`)
  }

  // Single media.
  for (const name of [nameOf(one), `${SERVER_NAME}/nothing`, 'elsewhere.org/nothing']) await admin(`media/${name}`)
  await post(`media/protect/${idOf(three)}`)
  await post('media/protect/nothing')
  await admin(`media/${nameOf(three)}`)
  await admin(`users/${alice}/media?order_by=safe_from_quarantine&dir=b`)
  await post(`media/quarantine/${nameOf(three)}`)
  await admin(`media/${nameOf(three)}`)

  // Quarantine.
  await admin('media/quarantine_changes')
  await post(`media/quarantine/${nameOf(one)}`)
  await post('media/quarantine/elsewhere.org/nothing')
  for (const uri of [one, copy]) await admin(`media/${nameOf(uri)}`)
  await admin(`users/${alice}/media?order_by=quarantined_by&dir=b`)
  const bypass = 'admin_unsafely_bypass_quarantine=true'
  for (const query of ['', `?${bypass}`, '?admin_unsafely_bypass_quarantine=false']) {
    const status = (token: string) => side.ask(`/_matrix/client/v1/media/download/${nameOf(copy)}${query}`, { token })
    for (const [who, token] of Object.entries(tokens)) {
      const got = await status(token)
      told.push([
        `download ${query} as ${who}`,
        { status: got.status, body: normalised(got.status === 200 ? 'bytes' : got.body, names) },
      ])
    }
  }
  const { next_batch: next } = await admin('media/quarantine_changes?from=0')
  await admin(`media/quarantine_changes?from=${String(next)}`)
  for (const from of ['2', '99', '-1', 'x']) await admin(`media/quarantine_changes?from=${from}`)
  await post(`media/unquarantine/${nameOf(copy)}`)
  await post('media/unquarantine/elsewhere.org/nothing')
  await admin(`media/${nameOf(one)}`)
  await admin('media/quarantine_changes?from=3')
  await post(`user/${bob}/media/quarantine`)
  await post(`user/${bob}/media/quarantine`)
  await post(`user/${encodeURIComponent('@nobody:elsewhere.org')}/media/quarantine`)
  for (const uri of [copy, bobs]) await post(`media/unquarantine/${nameOf(uri)}`)

  // Rooms.
  const room = await sendToRoom(side, [one, three, 'mxc://elsewhere.org/abc'])
  names.set(room, 'ROOM')
  const roomPath = encodeURIComponent(room)
  names.set(roomPath, 'ROOM')
  await admin(`room/${roomPath}/media`)
  await ask(`/_synapse/admin/v1/room/${roomPath}/media`, { token: tokens.alice }, 'a room as alice')
  await admin(`room/${encodeURIComponent('!nothing:example.org')}/media`)
  await post(`room/${roomPath}/media/quarantine`)
  await post(`quarantine_media/${roomPath}`)
  await post(`media/unquarantine/${nameOf(one)}`)

  // Statistics.
  for (const order of ['user_id', 'displayname', 'media_count', 'media_length']) {
    await admin(`statistics/users/media?order_by=${order}`)
    await admin(`statistics/users/media?order_by=${order}&dir=b`)
  }
  for (const query of [
    'limit=1',
    'from=1',
    'limit=1&from=1',
    'from=9',
    'search_term=ali',
    'search_term=nobody',
    'from_ts=0',
    `from_ts=${Date.now() + 60_000}`,
    'until_ts=9',
  ]) {
    await ask(
      `/_synapse/admin/v1/statistics/users/media?${query}`,
      {},
      `statistics ${query.replace(/\d{13}/, 'later')}`,
    )
  }
  for (const query of [
    'order_by=size',
    'dir=up',
    'limit=-1',
    'from=-1',
    'from_ts=-1',
    'from_ts=9&until_ts=5',
    'search_term=',
  ]) {
    await admin(`statistics/users/media?${query}`)
  }

  // Deletion.
  const later = Date.now() + 3_600_000
  for (const query of [
    '',
    '?before_ts=-1',
    '?before_ts=1600000000',
    `?before_ts=${later}&size_gt=-1`,
    `?before_ts=${later}&keep_profiles=maybe`,
  ]) {
    await ask(
      `/_synapse/admin/v1/media/delete${query}`,
      { method: 'POST' },
      `delete ${query.replace(/\d{13}/, 'later')}`,
    )
    await ask(
      `/_synapse/admin/v1/purge_media_cache${query}`,
      { method: 'POST' },
      `purge ${query.replace(/\d{13}/, 'later')}`,
    )
  }
  await ask(`/_synapse/admin/v1/media/elsewhere.org/delete?before_ts=${later}`, { method: 'POST' }, 'delete elsewhere')
  await ask(
    `/_synapse/admin/v1/media/${SERVER_NAME}/delete?before_ts=${later}&size_gt=100000`,
    { method: 'POST' },
    'delete nothing',
  )
  await ask(`/_synapse/admin/v1/media/delete?before_ts=1600000000000`, { method: 'POST' }, 'delete what is old')
  const avatar = await upload('avatar.txt', text(20), 'text/plain')
  const roomAvatar = await upload('room-avatar.txt', text(21), 'text/plain', 'bob')
  await side.ask(`/_matrix/client/v3/profile/${alice}/avatar_url`, {
    method: 'PUT',
    token: tokens.alice,
    body: { avatar_url: avatar },
  })
  await setRoomAvatar(side, room, roomAvatar)
  const deleteOld = async (query: string) => {
    const got = await side.ask(`/_synapse/admin/v1/media/delete?before_ts=${later}${query}`, {
      method: 'POST',
      token: tokens.admin,
    })
    const { deleted_media: deleted, ...rest } = got.body as { deleted_media: string[] }
    const named = deleted.map((id) => names.get(id) ?? id).toSorted((a, b) => a.localeCompare(b))
    told.push([`delete ${query}`, { status: got.status, deleted: named, rest }])
  }
  await deleteOld('&size_gt=67')
  await deleteOld('&size_gt=66')
  await deleteOld('')
  await deleteOld('&keep_profiles=false')
  await admin(`media/elsewhere.org/nothing`, { method: 'DELETE' })
  await admin(`media/${nameOf(two)}`, { method: 'DELETE' })
  const last = await upload('last.txt', text(30), 'text/plain')
  await admin(`media/${nameOf(last)}`, { method: 'DELETE' })
  await admin(`media/${nameOf(last)}`, { method: 'DELETE' })
  await admin(`media/${nameOf(last)}`)
  const more = await upload('more.txt', text(31), 'text/plain')
  await upload('most.txt', text(32), 'text/plain')
  await admin(`users/${alice}/media?limit=1&dir=b`, { method: 'DELETE' })
  await admin(`users/${alice}/media?limit=x`, { method: 'DELETE' })
  await post(`media/protect/${idOf(more)}`)
  await admin(`media/${nameOf(more)}`, { method: 'DELETE' })
  await post(`media/unprotect/${idOf(more)}`)
  await admin(`users/${alice}/media?order_by=created_ts`, { method: 'DELETE' })
  await admin(`users/${encodeURIComponent('@nobody:example.org')}/media`, { method: 'DELETE' })
  await admin(`users/${alice}/media`)
  return told
}

/** Equal ones stand in the order of their ids, which each side makes for itself. */
function sortedMedia(answer: unknown): unknown {
  const { body, ...rest } = answer as { readonly body: { readonly media?: readonly { readonly media_id: string }[] } }
  const media = body.media?.toSorted((a, b) => a.media_id.localeCompare(b.media_id))
  return { ...rest, body: { ...body, media } }
}

/** A room of Alice with these pictures, one of them as a thumbnail. */
async function sendToRoom(side: Side, uris: readonly string[]): Promise<string> {
  const token = side.user('alice').accessToken
  const { body } = await side.ask('/_matrix/client/v3/createRoom', { method: 'POST', token, body: {} })
  const room = String((body as Record<string, unknown>)['room_id'])
  for (const [index, url] of uris.entries()) {
    const content = { msgtype: 'm.image', body: 'a picture', url, info: index === 0 ? { thumbnail_url: uris[1] } : {} }
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message/${index}`
    await side.ask(path, { method: 'PUT', token, body: content })
    await pause(5)
  }
  return room
}

async function setRoomAvatar(side: Side, room: string, url: string): Promise<void> {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/state/m.room.avatar`
  const { status } = await side.ask(path, { method: 'PUT', token: side.user('alice').accessToken, body: { url } })
  expect(status).toBe(200)
  // Synapse notes it in the room's statistics by and by; its own deletion and its answer about the room go by those.
  await expect
    .poll(
      async () => {
        const { body } = await side.ask(`/_synapse/admin/v1/rooms/${encodeURIComponent(room)}`, {
          token: side.user('admin').accessToken,
        })
        return (body as Record<string, unknown>)['avatar']
      },
      { timeout: 30_000 },
    )
    .toBe(url)
}
