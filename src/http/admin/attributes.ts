import { findProtection, setProtection } from '../../db/protection.ts'
import { Refused } from '../../lib/errors.ts'
import { formatMxc, type Mxc } from '../../matrix/ids.ts'
import { auditedWrite } from '../../media/audit.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { object } from '../json-schema.ts'
import { mediaId, oneOf, serverName } from '../parameters.ts'
import type { HttpParts } from '../parts.ts'
import { refuseOtherServers } from './bulk.ts'
import { actorOf, administratorOf } from './moderator.ts'

const path = {
  server: serverName({ description: 'The server name in the MXC URI.' }),
  mediaId: mediaId({ description: 'The media id in the MXC URI.' }),
}
const purpose = oneOf(['none', 'pinned'], { description: '`pinned`: kept from quarantine, purges and expiry.' })
const attributes = object({ purpose: { ...purpose.schema, description: purpose.description } })
const mxcOf = (given: { readonly server: string; readonly mediaId: string }): Mxc => ({
  origin: given.server,
  mediaId: given.mediaId,
})

/** MMR's. */
export const get = described(
  {
    summary: 'Shows the attributes of some media',
    chapter: 'Attributes',
    path,
    answer: attributes,
    refusals: ['not_found'],
  },
  async (parts, call, given) => {
    const mxc = mxcOf(given.path)
    refuseOtherServers(administratorOf(call), mxc.origin)
    return json({ purpose: await purposeOf(parts, mxc) })
  },
)

/** MMR's. What is quarantined when it is pinned stays so. */
export const set = described(
  {
    summary: 'Changes the attributes of some media',
    details: 'What is quarantined when it is pinned stays so.',
    chapter: 'Attributes',
    path,
    body: { purpose },
    example: { purpose: 'pinned' },
    answer: attributes,
    refusals: ['not_found'],
  },
  async (parts, call, given) => {
    const mxc = mxcOf(given.path)
    const moderator = administratorOf(call)
    refuseOtherServers(moderator, mxc.origin)
    const wish = await given.body()
    const change = { ...mxc, at: wish.purpose === 'pinned' ? parts.clock.now() : null, by: moderator.userId ?? null }
    const what = { action: 'set_media_attributes', subject: formatMxc(mxc), details: wish }
    const found = await auditedWrite(parts, actorOf(call), what, setProtection, change, (is) => (is ? 1 : 0))
    if (!found) throw notFound()
    return json(wish)
  },
)

async function purposeOf({ db }: HttpParts, mxc: Mxc): Promise<'none' | 'pinned'> {
  const found = await findProtection(db.read, mxc)
  if (!found) throw notFound()
  return found.protectedAt === null ? 'none' : 'pinned'
}

const notFound = () => new Refused('not_found', 'Not found')
