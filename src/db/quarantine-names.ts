import { deletedContents, type DeletionRules, mayGo, type Name, selectNamed } from './deletion.ts'
import { quarantineAll, releaseAll } from './moderation.ts'
import { type Queryable, unit } from './query.ts'

/** Which of some names are meant: some hundred at most, so that nobody waits long for their rows. */
export interface MeantNames {
  readonly names: readonly Name[]
  readonly rules: DeletionRules
  /** Of these the content is meant also where they were deleted. */
  readonly alsoDeleted: readonly Name[]
}

export interface ModeratedNames {
  /** How many of the names there were. */
  readonly found: number
  /** How many of those were not meant. */
  readonly kept: number
  /** How many names of these contents were not quarantined before, or are not any more. */
  readonly done: number
  /** The contents that are meant. */
  readonly sha256s: readonly string[]
}

/** Quarantines the content of names, under all its names or those of one server. */
export const quarantineNames = unit(
  'quarantineNames',
  async (
    tx,
    {
      origin,
      at,
      by,
      ...meant
    }: MeantNames & { readonly origin: string | null; readonly at: number; readonly by: string | null },
  ): Promise<ModeratedNames> => {
    const { sha256s, ...counts } = await contentsOf(tx, meant)
    return { ...counts, sha256s, done: await quarantineAll(tx, { sha256s, origin, at, by }) }
  },
)

/** Ends the quarantine of the content of names, under all its names. */
export const releaseNames = unit('releaseNames', async (tx, meant: MeantNames): Promise<ModeratedNames> => {
  const { sha256s, ...counts } = await contentsOf(tx, meant)
  return { ...counts, sha256s, done: await releaseAll(tx, sha256s) }
})

async function contentsOf(tx: Queryable, { names, rules, alsoDeleted }: MeantNames) {
  const found = names.length === 0 ? [] : await selectNamed(tx, names).execute()
  const meant = found.filter((media) => mayGo(media, rules))
  const contents = [...meant.map(({ sha256 }) => sha256), ...(await deletedContents(tx, alsoDeleted))]
  return { found: found.length, kept: found.length - meant.length, sha256s: [...new Set(contents)].toSorted() }
}
