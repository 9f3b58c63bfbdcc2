/**
 * What each of millions of records is: everything follows from its number, the same in both databases and here, so that whoever
 * fills a database knows what to look for in it without asking.
 */

/** Largest prime below 2^32: multiplying by a number below it mixes up the numbers from 0, without two becoming one. */
const PRIME = 4_294_967_291
const MIX = { content: 2_654_435_761, id: 2_246_822_519, person: 3_266_489_917, time: 668_265_263, copy: 374_761_393 }
type Mix = keyof typeof MIX

/** Local homeservers; their users share the uploads unevenly. */
export const HOMESERVERS = 50
const REMOTE_SERVERS = 20_000
export const YEAR_MS = 365 * 24 * 3600 * 1000
/** The first record's time, and how long it took to get all of them. */
export const BEGAN_AT = Date.parse('2027-01-01T00:00:00Z')
const LASTED_MS = 3 * YEAR_MS
export const NOW = BEGAN_AT + LASTED_MS

/** How many of each there are among `media` media. */
export interface Amounts {
  readonly media: number
  /** Contents: 15 of 100 media are copies of others. */
  readonly contents: number
  /** Every fifth content has a thumbnail, which is an object of its own. */
  readonly thumbnails: number
  readonly users: number
}

export function amountsOf(media: number): Amounts {
  const contents = Math.floor((media * 85) / 100)
  return { media, contents, thumbnails: Math.floor(contents / 5), users: Math.max(1, Math.floor(media / 200)) }
}

/** How the two databases say the few things that they say differently. */
export interface Dialect {
  /** The numbers 0 to `count` − 1 as column `i` of a table `n`, to begin a SELECT with. */
  readonly numbers: (count: number) => { readonly before: string; readonly from: string }
  /** Eight hexadecimal digits of a whole number. */
  readonly hex: (value: string) => string
}

export const sqlite: Dialect = {
  numbers: (count) => ({
    before: `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${count - 1})`,
    from: 'n',
  }),
  hex: (value) => `printf('%08x', ${value})`,
}

export const postgres: Dialect = {
  numbers: (count) => ({ before: '', from: `generate_series(0::bigint, ${count - 1}) AS n(i)` }),
  hex: (value) => `lpad(to_hex(${value}), 8, '0')`,
}

const mixed = (i: string, mix: Mix) => `((${i}) * ${MIX[mix]} % ${PRIME})`
/** 0 to 2^20 − 1. */
const even = (i: string, mix: Mix) => `(${mixed(i, mix)} / 4096)`
/** The same with few large values: of 50 users the first has a quarter of everything. */
const uneven = (i: string, mix: Mix) => cubed(even(i, mix))
const cubed = (x: string) => `(${x} * ${x} / 1048576 * ${x} / 1048576)`
const below = (share: string, count: number) => `(${share} * ${count} / 1048576)`

/** The hash of content number `i`; thumbnails come after the contents. */
const hash = ({ hex }: Dialect, i: string) =>
  Array.from({ length: 4 }, () => `${hex(mixed(i, 'content'))} || ${hex(mixed(i, 'copy'))}`).join(' || ')
const mediaId = ({ hex }: Dialect, i: string) =>
  (['id', 'content', 'time'] as const).map((mix) => hex(mixed(i, mix))).join(' || ')

const isUpload = 'i % 20 < 7'
const isPreview = 'i % 20 = 7'

/** The statements that make `media` media with their contents and thumbnails. Each is one INSERT; tables by their bare names. */
export function fillingStatements(media: number, dialect: Dialect): readonly string[] {
  const amounts = amountsOf(media)
  return [objects(amounts, dialect), names(amounts, dialect), thumbnails(amounts, dialect), ...USAGE]
}

function objects({ contents, thumbnails: made, media }: Amounts, dialect: Dialect): string {
  const { before, from } = dialect.numbers(contents + made)
  const size = `CASE WHEN i < ${contents} THEN 2000 + ${uneven('i', 'copy')} * 8 ELSE 9000 + ${even('i', 'copy')} / 64 END`
  return `INSERT INTO objects (sha256, size, datastore, location, created_at) ${before}
    SELECT ${hash(dialect, 'i')}, ${size}, CASE WHEN i % 10 < 3 THEN 's3' ELSE 'main' END,
      '2028/' || ${mediaId(dialect, 'i')}, ${createdAt('i', media)} FROM ${from}`
}

function names({ contents, media, users }: Amounts, dialect: Dialect): string {
  const { before, from } = dialect.numbers(media)
  const content = `CASE WHEN i < ${contents} THEN i ELSE ${below(uneven('i', 'copy'), contents)} END`
  const person = below(uneven('i', 'person'), users)
  const remote = `'remote' || ${below(uneven('i', 'person'), REMOTE_SERVERS)} || '.example'`
  const local = `'hs' || (${person} % ${HOMESERVERS}) || '.example'`
  const created = createdAt('i', media)
  return `INSERT INTO media (origin, media_id, sha256, kind, content_type, upload_name, uploader, created_at, accessed_at,
      authenticated_at, quarantined_at) ${before}
    SELECT CASE WHEN ${isUpload} OR ${isPreview} THEN ${local} ELSE ${remote} END, ${mediaId(dialect, 'i')},
      ${hash(dialect, content)},
      CASE WHEN ${isUpload} THEN 'upload' WHEN ${isPreview} THEN 'preview' ELSE 'remote' END,
      CASE WHEN i % 3 = 0 THEN 'image/png' ELSE 'image/jpeg' END,
      CASE WHEN i % 4 = 0 THEN NULL ELSE 'picture-' || (i % 1000) || '.jpg' END,
      CASE WHEN ${isUpload} THEN '@user' || ${person} || ':' || ${local} END,
      ${created}, ${created} + (${NOW} - ${created}) / 1048576 * ${uneven('i', 'time')},
      CASE WHEN i * 3 > ${media * 2} THEN ${created} END,
      CASE WHEN i % 9973 = 0 THEN ${created} END FROM ${from}`
}

function thumbnails({ contents, thumbnails: made, media }: Amounts, dialect: Dialect): string {
  const { before, from } = dialect.numbers(made)
  return `INSERT INTO thumbnails (source_sha256, width, height, method, variant, sha256, content_type, created_at, made_for)
    ${before}
    SELECT ${hash(dialect, 'i * 5')}, 320, 240, 'scale', 'still', ${hash(dialect, `i + ${contents}`)}, 'image/jpeg',
      ${createdAt('i * 5', media)}, 'hs' || (i % ${HOMESERVERS}) || '.example' FROM ${from}`
}

const createdAt = (i: string, media: number) => `(${BEGAN_AT} + (${i}) * ${LASTED_MS} / ${media})`

const usage = (subject: string, from: string, where: string, size = 'size') =>
  `INSERT INTO usage_totals (subject, bytes, files) SELECT ${subject}, sum(${size}), count(*) FROM ${from} ${where} GROUP BY 1`
const named = 'media JOIN objects ON objects.sha256 = media.sha256'
const USAGE = [
  usage(`'datastore:' || datastore`, 'objects', ''),
  usage(`'server:' || origin`, named, ''),
  usage(`'user:' || uploader`, named, 'WHERE uploader IS NOT NULL'),
  usage(`'remote'`, named, `WHERE kind = 'remote'`),
  usage(`'thumbnails:' || made_for`, 'thumbnails JOIN objects ON objects.sha256 = thumbnails.sha256', ''),
  `INSERT INTO uploader_days (server, day, uploader, bytes, files)
   SELECT origin, media.created_at / 86400000, uploader, sum(size), count(*) FROM ${named}
   WHERE uploader IS NOT NULL GROUP BY 1, 2, 3`,
  `INSERT INTO uploader_days (server, day, uploader, bytes, files)
   SELECT server, -1, uploader, sum(bytes), sum(files) FROM uploader_days GROUP BY 1, 3`,
]

const mixedHere = (i: number, mix: Mix) => Number((BigInt(i) * BigInt(MIX[mix])) % BigInt(PRIME))
const hexHere = (i: number, mix: Mix) => mixedHere(i, mix).toString(16).padStart(8, '0')

/** The hash that content number `i` has in a filled database. */
export const hashOf = (i: number): string => (hexHere(i, 'content') + hexHere(i, 'copy')).repeat(4)

/** The media id that media number `i` has there. */
export const mediaIdOf = (i: number): string => hexHere(i, 'id') + hexHere(i, 'content') + hexHere(i, 'time')

/** The server that media number `i` is of. */
export function originOf(i: number, media: number): string {
  const share = unevenHere(i)
  return i % 20 < 8
    ? `hs${Math.floor((share * amountsOf(media).users) / 1048576) % HOMESERVERS}.example`
    : `remote${Math.floor((share * REMOTE_SERVERS) / 1048576)}.example`
}

function unevenHere(i: number): number {
  const x = Math.floor(mixedHere(i, 'person') / 4096)
  return Math.floor((Math.floor((x * x) / 1048576) * x) / 1048576)
}
