/** Archives and manifests that are broken, wrong, or meant to do harm; and very long ones, which are fine. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { Header } from 'tar-stream'
import { describe, expect, test } from 'vitest'
import { readEntries } from '../../src/archives/read.ts'
import { pieces, tarHeader, tarOf as tarWith, wholeManifest } from '../support/archives.ts'
import { temporaryFolder } from '../support/folder.ts'
import { runProgram } from '../support/processes.ts'

describe('a hostile archive is refused:', () => {
  const cases: readonly (readonly [string, () => Promise<Buffer> | Buffer, RegExp])[] = [
    ['a path above', () => tarOf({ name: '../../etc/cron.d/x' }), /no name of a file/],
    ['an absolute path', () => tarOf({ name: '/etc/passwd' }), /no name of a file/],
    ['a folder in the name', () => tarOf({ name: 'a/b' }), /no name of a file/],
    ['a path in an extended header', () => tarOf({ name: `${'a'.repeat(120)}/../b` }), /no name of a file/],
    ['a symbolic link', () => tarOf({ name: 'a', type: 'symlink', linkname: '/etc/passwd' }), /no file but a symlink/],
    ['a hard link', () => tarOf({ name: 'a', type: 'link', linkname: '/etc/passwd' }), /no file but a link/],
    ['a device', () => tarOf({ name: 'a', type: 'character-device' }), /no file but a character-device/],
    ['a folder', () => tarOf({ name: 'a', type: 'directory' }), /no file but a directory/],
    ['no gzip', () => Buffer.from('PK\u0003\u0004 and so on'), /refused: incorrect header check/],
    ['no tar', () => gzipSync(randomBytes(4096)), /refused: Invalid tar header/],
    ['a cut end', async () => (await tarOf({ name: 'a' }, Buffer.alloc(5000, 'x'))).subarray(0, 40), /unexpected end/],
    ['a cut tar', () => gzipSync(cutTar()), /refused: Unexpected end of data/],
    ['a bomb', () => bomb(), /more comes out of it than it can hold/],
  ]
  test.each(cases)('%s', async (_, make, message) => {
    const bytes = await make()
    const reading = () => readAll(pieces(bytes), { mayHold: 32 * 1024 * 1024 })
    await expect(reading()).rejects.toThrow(message)
    await expect(reading()).rejects.toMatchObject({ name: 'Refused', reason: 'bad_request' })
  })

  test('a bomb, also where its manifest announces all that comes out of it', async () => {
    const bombs = pieces(Buffer.concat(Array.from<Buffer>({ length: 26 }).fill(bomb())))
    await expect(readAll(bombs, { mayHold: Infinity })).rejects.toThrow('more comes out of it than it can hold')
  })

  const manifests: readonly (readonly [string, object | string | Buffer, RegExp])[] = [
    ['another version', { version: 3 }, /version: Invalid input/],
    ['another version, whatever its media look like', { version: 3, media: { x: 1 } }, /version: Invalid input/],
    ['no version', { version: undefined }, /version: Invalid input/],
    ['an owner that no database takes', { entity_id: 'a\0.org' }, /entity_id: Invalid string/],
    ['no owner', { entity_id: undefined }, /entity_id: missing/],
    ['no media', { media: undefined }, /media: missing/],
    ['a list of media', { media: [record({})] }, /media: no object/],
    ['no JSON', '{"version":2', /it is no JSON: it ends after 12 bytes, in the middle/],
    ['a byte order mark', `\uFEFF${manifest({})}`, /it is no JSON: at byte 0 there should be a `{`/],
    [
      'another encoding',
      Buffer.from(manifest({ x: '\xe9' }), 'latin1'),
      /it is no JSON: what ends at .* is not in UTF-8/,
    ],
    ['something behind it', `${manifest({})}{}`, /it is no JSON: at byte \d+ there should be nothing more/],
    ['two owners', manifest({}).replace('{', '{"entity_id":"b.org",'), /it has "entity_id" twice/],
    ['two lots of media', manifest({}).replace('{', '{"media":{},'), /it has "media" twice/],
    [
      'a name that is another one’s',
      { media: { 'mxc://a.org/x': record({ media_id: 'y' }) } },
      /names mxc:\/\/a.org\/y/,
    ],
    ['a server name that is a path', { media: { 'mxc://../x': record({ origin: '..' }) } }, /origin: Invalid input/],
    ['a size below 0', { media: { 'mxc://a.org/x': record({ size_bytes: -1 }) } }, /size_bytes: /],
    ['an absurd size', { media: { 'mxc://a.org/x': record({ size_bytes: 1e300 }) } }, /size_bytes: /],
    ['a hash that is none', { media: { 'mxc://a.org/x': record({ sha256: 'zz' }) } }, /sha256: /],
    ['a media that is no object', { media: { 'mxc://a.org/x': [] } }, /media "mxc:\/\/a.org\/x": .*expected object/],
    [
      'something as deep as it is long',
      manifest({ media: { 'mxc://a.org/x': 0 } }).replace(':0}', `:${'['.repeat(500_000)}${']'.repeat(500_000)}}`),
      /expected object/,
    ],
    ['a member of 2 MiB', { media: { 'mxc://a.org/x': 'x'.repeat(2 ** 21) } }, /a member has more than 1048576 bytes/],
    ['2 MiB of something else', { x: 'x'.repeat(2 ** 21) }, /a member has more than 1048576 bytes/],
    ['a name of 2 MiB', { media: { ['x'.repeat(2 ** 21)]: record({}) } }, /a member has more than 1048576 bytes/],
  ]
  test.each(manifests)('a manifest with %s', async (_, changes, message) => {
    const text = typeof changes === 'string' || Buffer.isBuffer(changes) ? changes : manifest(changes)
    const file = await tarOf({ name: 'manifest.json' }, Buffer.from(text))
    await expect(wholeManifest(pieces(file))).rejects.toThrow(message)
    await expect(wholeManifest(pieces(file))).rejects.toMatchObject({ name: 'Refused', reason: 'bad_request' })
  })

  test('a manifest that is cut off', async () => {
    const whole = await tarOf(
      { name: 'manifest.json' },
      Buffer.from(manifest({ x: randomBytes(50_000).toString('hex') })),
    )
    const reading = wholeManifest(pieces(whole.subarray(0, 20_000)))
    await expect(reading).rejects.toThrow('The archive is refused: unexpected end of file')
  })

  test('but what others put beside the media is nothing to us, nor is their order', async () => {
    const text = JSON.stringify({
      media: { 'mxc://a.org/x': record({ y: {} }) },
      z: [{}],
      created_ts: 1,
      entity_id: 'a.org',
    })
    const file = await tarOf({ name: 'manifest.json' }, Buffer.from(text.replace(/}$/, ',"version":2}')))
    const read = await wholeManifest(pieces(file))
    expect(read).toMatchObject({ entity: 'a.org', createdAt: 1, media: [{ mediaId: 'x' }] })
  })

  test('but version 1, which called the entity user_id, is read', async () => {
    const text = JSON.stringify({
      version: 1,
      user_id: '@a:a.org',
      created_ts: 1,
      media: { 'mxc://a.org/x': record({}) },
    })
    const read = await wholeManifest(pieces(await tarOf({ name: 'manifest.json' }, Buffer.from(text))))
    expect(read).toMatchObject({ entity: '@a:a.org', media: [{ origin: 'a.org', mediaId: 'x' }] })
  })
})

test('a manifest of 200,000 media is read without having it in memory', { timeout: 120_000 }, async () => {
  await using folder = await temporaryFolder()
  const reader = fileURLToPath(new URL('../support/long-manifest.ts', import.meta.url))
  // A third of what these media take as objects, and a sixth of the manifest.
  const command = [process.execPath, '--max-old-space-size=32', reader, folder.path, '200000']
  expect(await runProgram({ command })).toContain('200000 media of a.org')
})

test('a datastore that breaks off is not taken for a broken archive', async () => {
  await expect(readAll(breakingOff())).rejects.toThrow('connection reset')
  await expect(readAll(breakingOff())).rejects.not.toMatchObject({ name: 'Refused' })
})

async function readAll(file: AsyncIterable<Uint8Array>, limits = {}): Promise<void> {
  for await (const entry of readEntries(file, limits)) for await (const chunk of entry.bytes) void chunk
}

async function* breakingOff(): AsyncGenerator<Uint8Array> {
  yield (await tarOf({ name: 'a' }, randomBytes(50_000))).subarray(0, 20_000)
  throw new Error('connection reset')
}

/** With one file. */
const tarOf = async (header: Partial<Header> & { readonly name: string }, bytes?: Buffer) =>
  await tarWith([header, bytes])

/** A tar whose only file is announced larger than what follows. */
const cutTar = () => Buffer.concat([tarHeader('a', 4096), Buffer.alloc(1000)])

function bomb(): Buffer {
  const tar = Buffer.alloc(64 * 1024 * 1024)
  tarHeader('a', tar.length - 513).copy(tar)
  return gzipSync(tar)
}

const manifest = (changes: object) =>
  JSON.stringify({ version: 2, entity_id: 'a.org', created_ts: 1, media: {}, ...changes })

const record = (changes: object) => ({
  name: '',
  file_name: 'a.org__x',
  size_bytes: 1,
  content_type: 'text/plain',
  s3_url: '',
  sha256: '',
  origin: 'a.org',
  media_id: 'x',
  created_ts: 1,
  uploader: '@a:a.org',
  ...changes,
})
