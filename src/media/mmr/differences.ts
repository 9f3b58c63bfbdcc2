import { leavePlaces, removeGone, seenNames, seenPlaces } from '../../db/mmr/gone.ts'
import { mmrLocationsNamed, type MmrName, mmrNamesThere } from '../../db/mmr/pages.ts'
import { countMmr } from '../../db/mmr/tables.ts'
import { countSeen } from '../../db/mmr/report.ts'
import { Refused } from '../../lib/errors.ts'
import { isSuspicious } from '../orphans.ts'
import { leaseLost, type PassContext, type Stretch } from './parts.ts'

const PAGE = 500

const keyOf = ({ origin, mediaId }: MmrName) => `${origin}/${mediaId}`

/** The next names that were seen in MMR: those that it deleted since are deleted. */
export async function findDeleted({ parts, tables }: PassContext, after: unknown): Promise<Stretch | null> {
  if (after === null) await refuseEmptied({ parts, tables })
  const from = (after ?? { origin: '', mediaId: '' }) as MmrName
  const seen = await seenNames(parts.db.read, { ...from, limit: PAGE })
  const last = seen.at(-1)
  if (!last) return null
  const there = new Set((await mmrNamesThere(tables, seen)).map(keyOf))
  const names = seen.filter((name) => !there.has(keyOf(name)))
  return {
    after: last,
    rows: 0,
    write: async (step) => {
      const changed = await parts.db.write(removeGone, { names, now: parts.clock.now(), step: needed(step) })
      if (!changed) throw leaseLost()
      return changed
    },
  }
}

/** MMR's records are taken for deleted only as long as they are not so many that rather its database was emptied, or is another. */
async function refuseEmptied({ parts, tables }: Pick<PassContext, 'parts' | 'tables'>): Promise<void> {
  const seen = await countSeen(parts.db.read)
  const { media } = await countMmr(tables)
  if (seen <= media || !isSuspicious(seen - media, seen)) return
  throw new Refused(
    'bad_request',
    `MMR's table media has ${media} rows and had ${seen} when it was last looked at: is it the right database? ` +
      'Nothing was deleted. If MMR really deleted them, finish the take-over (cellarium import mmr --finish) and delete them here',
  )
}

/** The next places that were seen in MMR: those that it names no more are left. */
export async function findMoved({ parts, tables }: PassContext, after: unknown): Promise<Stretch | null> {
  const from = (after ?? { datastore: '', location: '' }) as { datastore: string; location: string }
  const seen = await seenPlaces(parts.db.read, { ...from, limit: PAGE })
  const last = seen.at(-1)
  if (!last) return null
  const places: typeof seen = []
  for (const [datastore, some] of Map.groupBy(seen, (place) => place.datastore)) {
    const locations = some.map(({ location }) => location)
    const named = new Set(await mmrLocationsNamed(tables, datastore, locations))
    places.push(...some.filter(({ location }) => !named.has(location)))
  }
  return {
    after: { datastore: last.datastore, location: last.location },
    rows: 0,
    write: async (step) => {
      const changed = await parts.db.write(leavePlaces, { places, step: needed(step) })
      if (!changed) throw leaseLost()
      return changed
    },
  }
}

function needed<Step>(step: Step | undefined): Step {
  if (step === undefined) throw new Error('what MMR deleted is only looked for under a lease')
  return step
}
