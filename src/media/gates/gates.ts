import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { MainConfig } from '../../config/schema.ts'
import type { NewReport } from '../../db/reports.ts'
import type { MediaKind } from '../../db/schema.ts'
import type { Clock } from '../../lib/clock.ts'
import { GateUnavailable, Refused } from '../../lib/errors.ts'
import type { EventParts } from '../../lib/events.ts'
import { gateFailed, judged } from '../../lib/gate-events.ts'
import { formatMxc } from '../../matrix/ids.ts'
import { ClamdGate } from './clamd.ts'
import type { Candidate, Gate, Verdict } from './gate.ts'
import { HashListGate } from './hash-lists.ts'
import { HookGate, type HookParts } from './hook.ts'
import { KeptList } from './kept-list.ts'
import { PdqList } from './pdq-list.ts'
import { type LookAt, PerceptualGate } from './perceptual.ts'
import { Sha256List } from './sha256-list.ts'

export type ModerationConfig = MainConfig['moderation']

export interface GatesParts extends HookParts {
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  readonly clock: Clock
  readonly lookAt: LookAt
  /** Makes a text that nobody else has. */
  readonly newToken: () => string
}

/** What comes of all gates: the first that does not let a file through decides. */
export interface Judgement {
  readonly action: 'allow' | 'quarantine' | 'reject'
  /** For administrators to look at. Of what is rejected nothing is left to look at. */
  readonly reports: readonly NewReport[]
  /** For whoever uploads: why it is refused, where a gate says so. */
  readonly told?: string | undefined
}

const PASSED: Judgement = { action: 'allow', reports: [] }
const TRY_AGAIN_MS = 10_000
/** Nobody waits longer for lists: neither the start nor a change of the configuration. */
const LISTS_WAIT_MS = 10_000

type ListConfig = ModerationConfig['perceptual']['lists'][number]
/** By what says which they are. */
type Lists<List extends { readonly size: number }> = ReadonlyMap<string, KeptList<List>>

/**
 * The gates that every file passes before it is stored, in the order of this file: what costs least first. Uploads, files of other
 * servers and pictures of previews call `judge`; dispose it when none come any more.
 */
export class Gates implements Disposable {
  readonly #parts: GatesParts
  readonly #closed = new AbortController()
  #remoteMedia: ModerationConfig['remoteMedia'] = 'off'
  #gates: readonly Gate[] = []
  #sha256Lists: Lists<Sha256List> = new Map()
  #pdqLists: Lists<PdqList> = new Map()
  #configured: { readonly config: ModerationConfig; readonly done: Promise<void> } | undefined

  constructor(parts: GatesParts) {
    this.#parts = parts
  }

  /**
   * Takes over a configuration. Lists that are in it as before stay as they are; new ones are waited for, ten seconds at most, while
   * the gates of before judge.
   */
  async configure(config: ModerationConfig): Promise<void> {
    const before = this.#configured
    if (before && isDeepStrictEqual(before.config, config)) return await before.done
    const done = (before?.done ?? Promise.resolve()).then(() => this.#takeOver(config))
    this.#configured = { config, done }
    await done
  }

  async #takeOver(config: ModerationConfig): Promise<void> {
    const { hashLists, perceptual, clamd, hooks, remoteMedia } = config
    const sha256Lists = this.#keep(hashLists, this.#sha256Lists, (lines) => Sha256List.read(lines))
    const pdqLists = this.#keep(perceptual.lists, this.#pdqLists, (lines) => PdqList.read(lines))
    const ready = [...sha256Lists.values(), ...pdqLists.values()].map((list) => list.ready)
    await Promise.race([
      Promise.all(ready),
      pause(LISTS_WAIT_MS, undefined, { ref: false, signal: this.#closed.signal }),
    ])
    this.#gates = [
      ...hashLists.flatMap((list) => hashListGate(sha256Lists.get(keyOf(list)), list)),
      ...(clamd.address === '' ? [] : [new ClamdGate(clamd)]),
      ...(pdqLists.size === 0 ? [] : [new PerceptualGate([...pdqLists.values()], perceptual, this.#parts.lookAt)]),
      ...hooks.map((hook, index) => new HookGate(this.#parts, hook, hook.name || `hook${index + 1}`)),
    ]
    this.#remoteMedia = remoteMedia
    disposeOthers(this.#sha256Lists, sha256Lists)
    disposeOthers(this.#pdqLists, pdqLists)
    this.#sha256Lists = sha256Lists
    this.#pdqLists = pdqLists
  }

  /** Whether nobody may have a byte of a file of another server before it has passed. */
  get holdsRemote(): boolean {
    return this.#gates.length > 0 && this.#remoteMedia === 'before'
  }

  /**
   * Asks the gates about a file, in their order, until one does not let it through.
   *
   * @throws {GateUnavailable} when one cannot judge it, and then nothing is to be let through
   */
  async judge(candidate: Candidate): Promise<Judgement> {
    if (this.#gates.length === 0 || !this.#judges(candidate.kind)) return PASSED
    const reports: NewReport[] = []
    for (const gate of this.#gates) {
      const { action, reason, told } = await this.#ask(gate, candidate)
      if (action === 'allow') continue
      if (action === 'reject') return { action, reports: [], told }
      reports.push(this.#report(candidate, gate, reason))
      if (action === 'quarantine') return { action, reports, told }
    }
    return { action: 'allow', reports }
  }

  #report({ origin, mediaId, staged: { sha256 } }: Candidate, { name }: Gate, reason: string): NewReport {
    const { newToken, clock } = this.#parts
    const what = { origin, mediaId, sha256, source: name, reason }
    return { id: newToken(), ...what, reporter: null, createdAt: clock.now() }
  }

  #judges(kind: MediaKind): boolean {
    return kind !== 'remote' || this.#remoteMedia !== 'off'
  }

  async #ask(gate: Gate, candidate: Candidate): Promise<Verdict> {
    const { events, clock } = this.#parts
    const began = clock.now()
    const { staged, uploader, signal } = candidate
    const what = { gate: gate.name, mxc: formatMxc(candidate), sha256: staged.sha256 }
    try {
      const verdict = await gate.judge(candidate)
      const { action, reason } = verdict
      judged(events, { ...what, action, reason, bytes: staged.size, uploader, durationMs: clock.now() - began })
      return verdict
    } catch (error) {
      signal.throwIfAborted()
      const { onFailure } = gate
      gateFailed(events, { ...what, onFailure, durationMs: clock.now() - began }, error)
      if (onFailure === 'allow') return { action: 'allow', reason: '' }
      if (error instanceof Refused) throw error
      throw new GateUnavailable('files cannot be checked at the moment; please try again', {
        cause: error,
        retryAfterMs: TRY_AGAIN_MS,
      })
    }
  }

  #keep<List extends { readonly size: number }>(
    configs: readonly ListConfig[],
    before: Lists<List>,
    read: ConstructorParameters<typeof KeptList<List>>[1]['read'],
  ): Lists<List> {
    const kept = (list: ListConfig) => before.get(keyOf(list)) ?? new KeptList(this.#parts.events, { ...list, read })
    return new Map(configs.map((list) => [keyOf(list), kept(list)]))
  }

  [Symbol.dispose](): void {
    this.#closed.abort()
    disposeOthers(this.#sha256Lists, new Map())
    disposeOthers(this.#pdqLists, new Map())
  }
}

const keyOf = ({ source, authorization, refreshSeconds }: ListConfig) =>
  JSON.stringify([source, authorization, refreshSeconds])

function hashListGate(list: KeptList<Sha256List> | undefined, config: ModerationConfig['hashLists'][number]): Gate[] {
  return list ? [new HashListGate(list, config)] : []
}

function disposeOthers<List extends { readonly size: number }>(lists: Lists<List>, but: Lists<List>): void {
  for (const [key, list] of lists) if (but.get(key) !== list) list[Symbol.dispose]()
}
