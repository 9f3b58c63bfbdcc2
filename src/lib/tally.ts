/** What rows came to, each in one of some outcomes. */
export interface Tally<Outcome extends string> {
  readonly rows: number
  /** Of those that were moved, would be, or were looked at. */
  readonly bytes: number
  readonly outcomes: Readonly<Partial<Record<Outcome, number>>>
}

/** Which outcomes are what. */
export interface TallyKinds<Outcome extends string, Problem extends Outcome> {
  /** It is there since this run. */
  readonly moved: readonly Outcome[]
  /** It would be moved, or was looked at: its bytes count, too. */
  readonly looked: readonly Outcome[]
  /** It is not as it should be. */
  readonly problems: readonly Problem[]
}

export const EMPTY: Tally<never> = { rows: 0, bytes: 0, outcomes: {} }

/** What is counted of a kind of run. */
export function tallying<Outcome extends string, Problem extends Outcome>({
  moved,
  looked,
  problems,
}: TallyKinds<Outcome, Problem>) {
  const withBytes = new Set([...moved, ...looked])
  return {
    /** One more row, of so many bytes. */
    counted: ({ rows, bytes, outcomes }: Tally<Outcome>, outcome: Outcome, size = 0): Tally<Outcome> => ({
      rows: rows + 1,
      bytes: bytes + (withBytes.has(outcome) ? size : 0),
      outcomes: { ...outcomes, [outcome]: (outcomes[outcome] ?? 0) + 1 },
    }),
    movedIn: (tally: Tally<Outcome>): number => sumOf(tally, moved),
    problemsIn: (tally: Tally<Outcome>): number => sumOf(tally, problems),
    /** How many had which problem; of those that were seen. */
    problemsBy: ({ outcomes }: Tally<Outcome>) =>
      Object.fromEntries(problems.filter((kind) => outcomes[kind]).map((kind) => [kind, outcomes[kind]])),
  }
}

function sumOf<Outcome extends string>({ outcomes }: Tally<Outcome>, some: readonly Outcome[]): number {
  return some.reduce((sum, outcome) => sum + (outcomes[outcome] ?? 0), 0)
}
