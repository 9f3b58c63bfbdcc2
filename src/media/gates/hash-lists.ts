import type { MainConfig } from '../../config/schema.ts'
import { ALLOWED, type Candidate, type Gate, type Verdict } from './gate.ts'
import type { KeptList } from './kept-list.ts'
import type { Sha256List } from './sha256-list.ts'

type HashListConfig = MainConfig['moderation']['hashLists'][number]

/** Files whose SHA-256 is on a list of the administrator's (`moderation.hashLists[]`). */
export class HashListGate implements Gate {
  readonly name = 'hash_list'
  /** A list that could not be read yet has been told; files do not wait for it. */
  readonly onFailure = 'allow'
  readonly #action: HashListConfig['action']
  readonly #list: Pick<KeptList<Sha256List>, 'current'>

  constructor(list: Pick<KeptList<Sha256List>, 'current'>, { action }: Pick<HashListConfig, 'action'>) {
    this.#list = list
    this.#action = action
  }

  async judge({ staged }: Candidate): Promise<Verdict> {
    const reason = this.#list.current?.find(staged.sha256)
    return reason === undefined ? ALLOWED : { action: this.#action, reason: reason || 'its hash is on a list' }
  }
}
