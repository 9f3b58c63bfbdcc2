/** What stands before the generated part of docs/admin-api.md. */

/** The shell's variable for each parameter of a path. */
export const PLACES: Readonly<Record<string, string>> = {
  server: 'SERVER',
  serverName: 'SERVER',
  mediaId: 'MEDIA_ID',
  userId: 'USER_ID',
  roomId: 'ROOM_ID',
  datastoreId: 'DATASTORE',
  source: 'DATASTORE',
  target: 'OTHER_DATASTORE',
  taskId: 'TASK_ID',
  reportId: 'REPORT_ID',
  exportId: 'EXPORT_ID',
  importId: 'IMPORT_ID',
  part: 'PART',
  number: 'NUMBER',
}

export const SELF_SERVICE = 'with `archiving.selfService`'
export const LIMITED = 'yes, unless `quarantine.allowLocalAdmins` is false'

export const INTRODUCTION = `# The administration API

Generated from the code by \`node scripts/generate-admin-docs.ts\`; the same for programs (OpenAPI 3.1):
\`GET /_matrix/media/unstable/admin/openapi.json\`. Who counts as an administrator, what purges and quarantines do, and the audit log are explained in
[administration.md](administration.md), what differs from Synapse in [synapse-admin-api.md](synapse-admin-api.md).

Paths that do not begin with \`/\` are below \`/_matrix/media/unstable/\` and, as with matrix-media-repo,
\`/_matrix/media/unstable/io.t2bot.media/\`. The homeserver addressed is the one of the request's \`Host\`. Times are in milliseconds since 1970, sizes in
bytes. What is given empty counts as not given.

## Examples

They work in a shell in which these are set:

\`\`\`sh
CELLARIUM=https://matrix.example.org  # the address at which clients reach the homeserver
TOKEN=syt_…                           # the access token of an administrator, or the shared secret
SERVER=example.org                    # with MEDIA_ID: mxc://SERVER/MEDIA_ID
MEDIA_ID=…
USER_ID=@alice:example.org
ROOM_ID='!abc:example.org'
OTHER_SERVER=matrix.org
DATASTORE=main OTHER_DATASTORE=new    # ids of datastores
TASK_ID=1 REPORT_ID=…                 # as lists of them say
EXPORT_ID=… IMPORT_ID=…               # as the request that began it was answered
PART=1 NUMBER=1                       # of a file of an export, of a media in it
FILE=export-manifest.tgz              # a file of an archive
\`\`\`

## Refusals

All are JSON: \`errcode\` (the specification's), \`error\` (a sentence), \`mr_errcode\` (matrix-media-repo's own code). All routes may answer
400 \`M_INVALID_PARAM\` or \`M_MISSING_PARAM\` (the sentence names the parameter), 401 \`M_MISSING_TOKEN\` or \`M_UNKNOWN_TOKEN\`, 403 \`M_FORBIDDEN\` or
\`M_GUEST_ACCESS_FORBIDDEN\`, 405 \`M_UNRECOGNIZED\` (\`Allow\` has the methods that there are), 429 \`M_LIMIT_EXCEEDED\` and 503 \`M_UNKNOWN\` (with
\`Retry-After\`), 431 where the address is too long, and 502 \`M_UNKNOWN\` where the host is unknown or the homeserver cannot be asked.

## Chapters
`
