import { userStatistics } from '../../db/user-statistics.ts'
import { Refused } from '../../lib/errors.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { integer, list, object, string } from '../json-schema.ts'
import { moment, oneOf, text } from '../parameters.ts'
import { direction, nextToken, pageOf, paging } from './paging.ts'

const columns = {
  user_id: 'user_id',
  // Names are the homeserver's: here they are the ids.
  displayname: 'user_id',
  media_count: 'files',
  media_length: 'bytes',
} as const

/** `GET statistics/users/media`. */
export const usersMedia = described(
  {
    summary: 'Says how many media each user of the homeserver has, and how large they are',
    chapter: 'Synapse: statistics',
    query: {
      ...paging,
      ...direction,
      order_by: oneOf(['user_id', 'displayname', 'media_count', 'media_length'], {
        description: 'What the list is ordered by.',
        fallback: 'user_id' as const,
      }),
      from_ts: moment({ description: 'Only media uploaded from then on, in ms since 1970.', fallback: null }),
      until_ts: moment({ description: 'Only media uploaded until then, in ms since 1970.', fallback: null }),
      search_term: text({
        description: 'Only users whose id has this in its local part.',
        fallback: null,
        refusesEmpty: true,
      }),
    },
    answer: object(
      {
        users: list(
          object({
            user_id: string('The user id.'),
            displayname: string('The user id as well.'),
            media_count: integer('How many media.'),
            media_length: integer('Bytes of all of them.'),
          }),
        ),
        total: integer('How many users there are in all.'),
      },
      { next_token: integer('`from` of the next page, if there is one.') },
    ),
  },
  async (parts, call, { query }) => {
    const { from_ts: fromTs, until_ts: untilTs } = query
    if (untilTs !== null && untilTs <= (fromTs ?? 0)) {
      throw new Refused('bad_parameter', 'until_ts must be greater than from_ts')
    }
    const { offset, limit } = pageOf(query)
    const wish = {
      server: call.homeserver.name,
      orderBy: columns[query.order_by],
      descending: query.dir === 'b',
      from: offset,
      limit,
      since: fromTs,
      until: untilTs,
      search: query.search_term,
    }
    const { users, total } = await userStatistics(parts.db, wish, call.signal)
    return json({
      users: users.map(({ userId, files, bytes }) => ({
        user_id: userId,
        displayname: userId,
        media_count: files,
        media_length: bytes,
      })),
      total,
      ...nextToken(offset, users, total),
    })
  },
)
