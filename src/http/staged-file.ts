import { createReadStream } from 'node:fs'
import type { ByteRange, OpenObject } from '../datastores/datastore.ts'
import { Refused } from '../lib/errors.ts'
import type { StagedBytes } from '../media/gates/shown-files.ts'
import type { Answer } from './answers.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'

/** A file that is being judged, for the hook that was given its address (docs/moderation.md). */
export async function stagedFile({ shownFiles }: HttpParts, call: Call): Promise<Answer> {
  const staged = shownFiles.find(call.param('token'))
  if (!staged) throw new Refused('not_found', 'Not found')
  return {
    kind: 'file',
    size: staged.size,
    tag: staged.sha256,
    contentType: 'application/octet-stream',
    disposition: 'attachment',
    fileName: null,
    cacheControl: 'no-store',
    open: async () => openStaged(staged),
    openRangeBytes: 0,
  }
}

function openStaged({ path, size }: StagedBytes): OpenObject {
  return {
    size,
    read: ({ start, end }: ByteRange) => createReadStream(path, { start, end }),
    async [Symbol.asyncDispose]() {},
  }
}
