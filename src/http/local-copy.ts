import { Refused } from '../lib/errors.ts'
import { formatMxc } from '../matrix/ids.ts'
import { findAllowed, openObject } from '../media/download.ts'
import * as uploads from '../media/upload.ts'
import { json } from './answers.ts'
import { described } from './described.ts'
import { wanted } from './download.ts'
import { object, string } from './json-schema.ts'
import { flag, mediaId, serverName } from './parameters.ts'
import type { HttpParts } from './parts.ts'

/**
 * MMR's, deprecated: a copy of another server's media, under a name of the homeserver addressed. MMR puts it under the name of the
 * other server again. It is an upload like any other: all that holds for these holds for it.
 */
export const localCopy = described(
  {
    summary: 'Copies media of another server to this homeserver',
    deprecated: true,
    serves: ['everybody'],
    example: { server: '$OTHER_SERVER' },
    chapter: 'Information',
    path: {
      server: serverName({ description: 'The server name in the MXC URI.' }),
      mediaId: mediaId({ description: 'The media id in the MXC URI.' }),
    },
    query: {
      allow_remote: flag({ description: 'Whether it may be fetched from the other server.', fallback: true }),
    },
    answer: object({ content_uri: string('The MXC URI of the copy.') }),
    refusals: ['bad_request', 'not_found', 'origin_unavailable'],
  },
  async (parts, call, { path, query }) => {
    if (path.server === call.homeserver.name) {
      throw new Refused('bad_request', 'Attempted to clone media to the same origin')
    }
    call.log.warn({ media: `${path.server}/${path.mediaId}` }, 'local_copy is deprecated')
    const mayFetch = query.allow_remote
    const record = await findAllowed(parts, call, { ...wanted(parts, call, 'client'), mayFetch })
    const copied = await uploads.receive(parts, call, {
      body: bytesOf(parts, call, record),
      expectedBytes: record.size,
      contentType: record.contentType,
      uploadName: record.uploadName,
    })
    return json({ content_uri: formatMxc(copied) })
  },
)

async function* bytesOf(
  parts: HttpParts,
  ctx: Parameters<typeof openObject>[1],
  record: Parameters<typeof openObject>[2],
): AsyncGenerator<Uint8Array> {
  await using opened = await openObject(parts, ctx, record)
  if (opened.size > 0) yield* opened.read({ start: 0, end: opened.size - 1 })
}
