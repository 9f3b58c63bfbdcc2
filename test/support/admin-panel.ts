/**
 * Asks as the administration panel synapse-admin does, of which this has the requests only: its lists by page, its buttons, and what
 * a browser sends before them from another origin.
 */
import type { Got, Side } from './two-sides.ts'

const ORIGIN = 'https://admin.example.net'

export interface ListWanted {
  readonly page: number
  readonly perPage: number
  readonly sort: { readonly field: string; readonly order: 'ASC' | 'DESC' }
  readonly filter?: Readonly<Record<string, string>>
}

export interface ListGot {
  readonly rows: readonly Readonly<Record<string, unknown>>[]
  readonly total: unknown
}

export class AdminPanel {
  readonly #side: Side
  readonly #token: string
  readonly #server: string

  constructor(side: Side, token: string, server: string) {
    this.#side = side
    this.#token = token
    this.#server = server
  }

  /** The table of a user's media. */
  async userMedia(userId: string, wanted: ListWanted): Promise<ListGot> {
    const body = await this.#get(`users/${encodeURIComponent(userId)}/media?${queryOf(wanted)}`)
    return listOf(body, 'media')
  }

  /** The table of all users' media. */
  async statistics(wanted: ListWanted): Promise<ListGot> {
    return listOf(await this.#get(`statistics/users/media?${queryOf(wanted)}`), 'users')
  }

  readonly protect = (id: string) => this.#press('POST', `media/protect/${id}`)
  readonly unprotect = (id: string) => this.#press('POST', `media/unprotect/${id}`)
  readonly quarantine = (id: string) => this.#press('POST', `media/quarantine/${this.#server}/${id}`)
  readonly unquarantine = (id: string) => this.#press('POST', `media/unquarantine/${this.#server}/${id}`)
  readonly remove = (id: string) => this.#press('DELETE', `media/${this.#server}/${id}`)

  /** The form for old media, with the time that a date field gives. */
  removeOld(before: number, sizeGt: number, keepProfiles: boolean): Promise<Record<string, unknown>> {
    const query = `before_ts=${before}&size_gt=${sizeGt}&keep_profiles=${keepProfiles}`
    return this.#press('POST', `media/${this.#server}/delete?${query}`)
  }

  /** The form for media of other servers. */
  purgeRemote(before: number): Promise<Record<string, unknown>> {
    return this.#press('POST', `purge_media_cache?before_ts=${before}`)
  }

  /** The small picture beside a name, as an `<img>` gets it: with the token in the address, where servers take it there. */
  picture(id: string): Promise<Got> {
    const path = `/_matrix/media/r0/thumbnail/${this.#server}/${id}`
    return this.#side.ask(`${path}?width=24&height=24&method=scale&access_token=${encodeURIComponent(this.#token)}`)
  }

  async #get(path: string): Promise<Record<string, unknown>> {
    return await this.#send('GET', path)
  }

  async #press(method: string, path: string): Promise<Record<string, unknown>> {
    return await this.#send(method, path)
  }

  async #send(method: string, path: string): Promise<Record<string, unknown>> {
    const target = `/_synapse/admin/v1/${path}`
    await this.#preflight(method, target)
    const headers = { accept: 'application/json', origin: ORIGIN }
    const { status, body, headers: got } = await this.#side.ask(target, { method, token: this.#token, headers })
    if (status !== 200) throw new Error(`${method} ${target}: ${status} ${JSON.stringify(body)}`)
    if (!covers(got.get('access-control-allow-origin'), ORIGIN)) throw new Error(`a browser shows no page ${target}`)
    return body as Record<string, unknown>
  }

  /** Source: Fetch standard, "CORS-preflight request". */
  async #preflight(method: string, target: string): Promise<void> {
    const headers = {
      origin: ORIGIN,
      'access-control-request-method': method,
      'access-control-request-headers': 'authorization,content-type',
    }
    const { status, headers: got } = await this.#side.ask(target, { method: 'OPTIONS', headers })
    const allowed = (name: string) => got.get(`access-control-allow-${name}`)
    const isFine =
      status < 300 &&
      covers(allowed('origin'), ORIGIN) &&
      covers(allowed('methods'), method) &&
      ['authorization', 'content-type'].every((header) => covers(allowed('headers'), header))
    if (!isFine) throw new Error(`a browser does not send ${method} ${target}: ${status}`)
  }
}

/** Of `Authorization`, `*` says nothing; everywhere else it says that anything may be. */
function covers(header: string | null, wanted: string): boolean {
  const words = (header ?? '').split(',').map((word) => word.trim().toLowerCase())
  return words.includes(wanted.toLowerCase()) || (words.includes('*') && wanted !== 'authorization')
}

function queryOf({ page, perPage, sort, filter = {} }: ListWanted): string {
  const order = { order_by: sort.field, dir: sort.order === 'DESC' ? 'b' : 'f' }
  const query = { ...filter, ...order, from: String((page - 1) * perPage), limit: String(perPage) }
  return new URLSearchParams(query).toString()
}

function listOf(body: Record<string, unknown>, member: string): ListGot {
  return { rows: body[member] as ListGot['rows'], total: body['total'] }
}
