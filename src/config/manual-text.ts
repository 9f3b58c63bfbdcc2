/** The parts of docs/configuration.md that are not about single options. */

export const INTRODUCTION = `# Configuration

Nothing has to be configured: without a file, Cellarium keeps a SQLite database and a folder of media in \`./data\`, serves the
homeserver \`localhost\` (\`CELLARIUM_SERVER_NAME\`, \`CELLARIUM_CS_API\` name another), and listens on 127.0.0.1:8000.

Configuration files of matrix-media-repo (MMR) 1.3 work as they stand, those of 1.2 too, with a warning for each key that has
changed its name. \`config.sample.yaml\` has every option with its meaning.

## Which file

1. \`--config PATH\` on the command line;
2. else the environment variable \`REPO_CONFIG\`;
3. else no file, and the defaults.

PATH is a file or a folder. (In MMR \`REPO_CONFIG\` wins over the command line; here what was typed wins. MMR writes a file
full of defaults when PATH does not exist; here that is an error.) The folder for the server's own files is \`--data\`, else
\`CELLARIUM_DATA\`, else \`repo.dataPath\`.

Environment variables for other servers: \`CELLARIUM_HOSTS_FILE\` names the hosts file to look names up in, if not the system's;
\`NODE_EXTRA_CA_CERTS\` names further authorities to trust. For tests only, each with a loud warning:
\`MEDIA_REPO_UNSAFE_FEDERATION=true\` checks no certificates, \`MEDIA_REPO_HTTP_ONLY_FEDERATION=true\` speaks plain HTTP. A proxy
(\`HTTPS_PROXY\`) is not used for other servers, nor for previews.

## Several files

All files in a folder are read, whatever their ending, in the order of the bytes of their names. Left out are subfolders, names that begin
with a dot (Kubernetes and editors keep their own there) or end in \`~\` (editors' copies), and \`*.key\`: signing keys may lie in the folder.

Files are laid over each other: a later file adds to maps key by key, and replaces lists and single values. (MMR replaces whole
sections, so that \`downloads:\` in a second file loses everything that the first one said about downloads.) An option without a
value (\`thumbnailPath:\`), or null, is not set: what an earlier file or the default says holds.

Numbers and true/false may stand in quotes, and yes/no and on/off are taken for true/false. Of a file with several YAML
documents only the first is read, with a warning.

## Per-domain files

A file with \`homeserver: example.org\` at its top holds for that homeserver only, over the main configuration; the table below
says which options it may set. It may also have \`csApi\`, \`backoffAt\`, \`adminApiKind\`, \`introspection\` and
\`signingKeyPath\` at its top, which say the same as in \`homeservers\`; with \`csApi\` no entry in \`homeservers\` is needed. Several
files for one homeserver are laid over each other in their order.

\`\`\`yaml
homeserver: example.org
csApi: https://example.org/
uploads:
  maxBytes: 52428800
repo:
  freezeUnauthenticatedMedia: false
\`\`\`

Everything that such a file does not mention stays as in the main configuration. (In MMR a section in a per-domain file has to be
complete: what it leaves out becomes zero or empty.) Datastores are known to the whole server by their \`id\`: two datastores
with one id, in whichever files, are an error.

A request belongs to the homeserver that its Host header (X-Forwarded-Host with \`repo.useForwardedHost\`) names: exactly, else
without regard to case, else the same without the port.

## Changes while running

The files are watched, also through renames and symbolic links, and \`SIGHUP\` reads them at once. What a reload changed is
logged, with the options that need a restart. Requests under way finish with the configuration with which they began. A file that
cannot be used changes nothing: the log says what is wrong, and the old configuration stays in force. At the start it ends
the program, with every problem at once, each with its file and line, and exit status 2.

## Commands

| command | does |
|---|---|
| \`cellarium config check\` | names every problem, unknown and misplaced keys, options without effect, and settings that cannot be meant, such as administrators of a server that is not served; exit status 2 when the configuration cannot be used |
| \`cellarium config print\` | prints the effective configuration, and what is different for which homeserver; secrets are masked |
| \`cellarium config schema\` | prints a JSON Schema for editors |
| \`cellarium config sample\` | prints the sample |
`

export const DIFFERENCES = `## Differences from MMR

- Where MMR's built-in defaults and its sample differ, the sample's values are the defaults here:

| key | MMR built in | here |
|---|---|---|
| \`rateLimit.requestsPerSecond\` | 5 | 1 |
| \`downloads.failureCacheMinutes\` | 15 | 5 |
| \`thumbnails.numWorkers\` | 10 | 100 |
| \`thumbnails.types\` | JPEG, PNG, GIF | all of the sample, also APNG, HEIF, WebP, BMP, TIFF and audio |
| \`thumbnails.sizes\` | five | also 768 × 240 |
| \`metrics.bindAddress\` | localhost | 127.0.0.1 |

- Unknown keys are named in a warning, with a known key that is much like it. MMR ignores them silently.
- A wrong value is an error that names file, line and key. MMR stops at the first, or takes it for zero.
- \`database.postgres\` left at the sample's example is an error, and so is \`sharedSecretAuth.enabled\` with a token that is
  empty or that of a sample.
- Without \`database.postgres\` the records are in a SQLite file, and without \`datastores\` the media are in a folder.
- A datastore without \`id\` (MMR 1.2) gets one derived from its type and place. \`enabled: false\` means \`forKinds: []\`, and
  \`enabled: true\` without \`forKinds\` means all kinds.
- \`repo.freezeUnauthenticatedMedia\` is on, as in MMR since 1.3.8, and can be set per domain.
- \`downloads.cache\` works as in MMR 1.2, with defaults for small servers: 64 MiB in all and 1 MiB a file (MMR 1.2: 1 GB and
  100 MB), from the second request on. MMR 1.3 has no such cache.
- Of MMR 1.2's \`featureSupport\`, \`MSC2448\` works again as \`MSC2448Blurhash\` (but for drawing pictures of blurhashes: \`maxWidth\`,
  \`maxHeight\` and \`punch\` have no effect), \`redis\` is now \`redis\` at the top, and \`IPFS\` has no effect.
- \`urlPreviews.userAgent\` is by default a name that web sites know as that of a preview bot; MMR's \`matrix-media-repo\` is not,
  and is sent where it is configured. In \`filePreviewTypes\` one line that fits is enough (MMR: all of them have to).
- \`pgo\` is accepted and ignored for good.
- Regular expressions of application services are JavaScript's. Those that only Go understands are an error.
`
