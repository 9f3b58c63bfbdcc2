import { quarantine, release, remove } from '../../media/moderation.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { boolean, integer, object } from '../json-schema.ts'
import { mediaId, serverName } from '../parameters.ts'
import { moderatorOf } from './moderator.ts'

const path = {
  server: serverName({ description: 'The server name in the MXC URI.' }),
  mediaId: mediaId({ description: 'The media id in the MXC URI.' }),
}
const mxcOf = ({ server, mediaId: id }: { readonly server: string; readonly mediaId: string }) => ({
  origin: server,
  mediaId: id,
})

/** MMR's, for one media. */
export const quarantineMedia = described(
  {
    summary: 'Quarantines the content of some media, under all its names',
    chapter: 'Quarantine',
    path,
    serves: ['homeserver where allowed'],
    answer: object({ num_quarantined: integer('How many names were not quarantined before.') }),
  },
  async (parts, call, given) => {
    const moderator = await moderatorOf(parts, call, call.homeserver.quarantine.allowLocalAdmins)
    return json({ num_quarantined: await quarantine(parts, moderator, mxcOf(given.path)) })
  },
)

/** What MMR has no endpoint for. */
export const releaseMedia = described(
  {
    summary: 'Ends the quarantine of the content of some media, under all its names',
    chapter: 'Quarantine',
    path,
    serves: [],
    answer: object({ num_released: integer('How many names were quarantined.') }),
  },
  async (parts, call, given) => {
    const moderator = await moderatorOf(parts, call, false)
    return json({ num_released: await release(parts, moderator, mxcOf(given.path)) })
  },
)

/** MMR's, for one media. */
export const purgeMedia = described(
  {
    summary: 'Deletes some media',
    chapter: 'Purge',
    path,
    serves: ['owner', 'homeserver'],
    answer: object({ purged: boolean('Always true, also when there was nothing.') }),
  },
  async (parts, call, given) => {
    await remove(parts, await moderatorOf(parts, call, true), mxcOf(given.path))
    return json({ purged: true })
  },
)
