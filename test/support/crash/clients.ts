/** Clients that upload in every way until they are stopped, to servers that die under them, and remember what they were told. */
import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { MediaClient } from '../media-client.ts'
import type { Random } from '../random.ts'
import { pngOf } from './picture.ts'

/** What clients know. */
export interface Ledger {
  /** What was answered 200: the media, and the hash of their bytes. */
  readonly answered: Map<string, string>
  /** Reserved ids whose upload got no answer: it may have come or not. */
  readonly unanswered: Map<string, Buffer>
  /** Statuses other than 200. */
  readonly refusals: number[]
  /** Thumbnails that were answered 200. */
  thumbnails: number
}

export const emptyLedger = (): Ledger => ({ answered: new Map(), unanswered: new Map(), refusals: [], thumbnails: 0 })

export interface ClientsOptions {
  /** Makes this run's bytes different from those of every other. */
  readonly name: string
  readonly ledger: Ledger
  readonly random: Random
  /** This user at a server that may be alive, each time another; undefined while there is none. */
  readonly client: (user: User) => MediaClient | undefined
  readonly goesOn: () => boolean
}

export const USERS = ['alice', 'bob'] as const
export type User = (typeof USERS)[number]
/** Only who reserved an id may upload to it. */
export const RESERVES = 'alice'

export const CLIENTS = 7

/** Runs `CLIENTS` clients at the same time until `goesOn` ends them. */
export async function runClients(options: ClientsOptions): Promise<void> {
  const shared = { number: 0 }
  const clients: readonly (readonly [User, Way])[] = [
    ['alice', uploadNew],
    ['bob', uploadNew],
    ['alice', uploadShared],
    ['alice', uploadShared],
    ['bob', uploadShared],
    [RESERVES, reserveAndFill],
    ['bob', thumbnail],
  ]
  const acting = clients.map(([user, way], index) => {
    const client = () => options.client(user)
    return actOn({ ...options, client, name: `${options.name} ${index}` }, shared, way)
  })
  await Promise.all(acting)
}

/**
 * Uploads once more what got no answer, as who reserved it: an id that was reserved has to take its bytes, or to have taken
 * them.
 */
export async function fillAgain(client: MediaClient, ledger: Ledger): Promise<void> {
  for (const [media, bytes] of ledger.unanswered) {
    const status = await client.fill(media, bytes)
    if (status !== 200 && status !== 409) throw new Error(`the reserved ${media} was answered ${status}`)
    ledger.unanswered.delete(media)
    ledger.answered.set(media, sha256(bytes))
  }
}

interface Step {
  readonly client: MediaClient
  readonly ledger: Ledger
  readonly random: Random
  /** Another for each step of each client. */
  readonly name: string
  /** Counts the contents that several clients send. */
  readonly shared: { number: number }
}

type Way = (step: Step) => Promise<void>

type Acting = Omit<ClientsOptions, 'client'> & { readonly client: () => MediaClient | undefined }

async function actOn(options: Acting, shared: { number: number }, way: Way): Promise<void> {
  const { ledger, random, name } = options
  for (let number = 0; options.goesOn(); number++) {
    const client = options.client()
    // A request that a dying server broke off says nothing; the next may find another server.
    const done =
      client && (await way({ client, ledger, random, name: `${name} ${number}`, shared }).then(() => true, brokenOff))
    if (!done) await pause(10)
  }
}

function brokenOff(error: unknown): false {
  // What fetch throws when the connection breaks; anything else is a mistake of the test.
  if (error instanceof TypeError || (error as Error).name === 'AbortError') return false
  throw error
}

const uploadNew: Way = async (step) => {
  const size = 1 + (step.random.below(8) === 0 ? step.random.below(2_000_000) : step.random.below(200_000))
  await upload(step, Buffer.alloc(size, step.name))
}

/** The same bytes from three clients at about the same time; every fourth is new. */
const uploadShared: Way = async (step) => {
  const number = step.shared.number++ >> 2
  const name = step.name.split(' ', 1)[0]
  await upload(step, Buffer.alloc(50_000 + number, `${name} shared ${number}`), step.random.of(['a.bin', 'b.bin']))
}

const reserveAndFill: Way = async (step) => {
  const media = await step.client.create()
  if (media === '') return
  const bytes = Buffer.alloc(1 + step.random.below(100_000), step.name)
  step.ledger.unanswered.set(media, bytes)
  const status = await step.client.fill(media, bytes)
  if (status === 200) {
    step.ledger.unanswered.delete(media)
    step.ledger.answered.set(media, sha256(bytes))
  } else step.ledger.refusals.push(status)
}

const thumbnail: Way = async (step) => {
  const media = await upload(step, await pngOf(step.name))
  if (!media) return
  const status = await step.client.thumbnail(media)
  if (status === 200) step.ledger.thumbnails++
  else step.ledger.refusals.push(status)
}

async function upload({ client, ledger }: Step, bytes: Buffer, name?: string): Promise<string | undefined> {
  const { status, media } = await client.upload(bytes, name)
  if (status !== 200) {
    ledger.refusals.push(status)
    return undefined
  }
  ledger.answered.set(media, sha256(bytes))
  return media
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
