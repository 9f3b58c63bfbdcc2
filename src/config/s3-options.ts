/** What the options of an S3 datastore mean: `config check` and the datastore itself read them here. */

/** The options with their defaults, once there is nothing wrong with them. */
export interface S3Options {
  /** Where the service is: scheme, host, port, and a path where the service has one. */
  readonly endpoint: URL
  readonly bucket: string
  /** Undefined: the SDK looks for credentials (environment, files, web identity, instance role). */
  readonly credentials: S3Credentials | undefined
  /** Undefined: found out from the endpoint's name or from the service's first refusal. */
  readonly region: string | undefined
  /** The bucket in the path instead of the host's name. */
  readonly pathStyle: boolean
  /** Undefined: what the bucket has as its default. */
  readonly storageClass: string | undefined
  readonly encryption: { readonly kind: Encryption; readonly kmsKeyId: string | undefined } | undefined
  /** The key with which somebody else encrypted every object (SSE-C); no datastore of ours has one. */
  readonly customerKey?: string
  /** Characters of a key that come before a slash. */
  readonly prefixLength: number
  readonly multipart: boolean
  /** Folder for uploads on their way; undefined: below the data folder. */
  readonly tempPath: string | undefined
  /** How clients are sent to objects; undefined: they are not. */
  readonly links: S3Links | undefined
  readonly redirectWhenCached: boolean
  readonly federationRedirect: boolean
}

export interface S3Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export type Encryption = (typeof ENCRYPTIONS)[number]

export type S3Links =
  | { readonly kind: 'presigned'; readonly endpoint: URL }
  /** The key is appended as it is. */
  | { readonly kind: 'public'; readonly baseUrl: string }

/** What is wrong with an option, as a sentence that follows its name. */
export interface OptionProblem {
  readonly option: string
  readonly problem: string
}

const ENCRYPTIONS = ['AES256', 'aws:kms', 'aws:kms:dsse'] as const
/** Keys are 40 characters long. */
const LONGEST_PREFIX = 32
/** Services whose buckets are to be named in the host; all others understand the path, and not all of them the host. */
const VIRTUAL_HOSTS = /(^|\.)(amazonaws\.com|amazonaws\.com\.cn|aliyuncs\.com|storage\.googleapis\.com)$/

type Written = Readonly<Record<string, string | undefined>>

/** Reads the options as they are written: text, where an empty one counts as none. Gives them, or all that is wrong. */
export function readS3Options(written: Written): S3Options | { readonly problems: readonly OptionProblem[] } {
  const problems: OptionProblem[] = []
  const complain = (option: string, problem: string) => void problems.push({ option, problem })
  const { region, storageClass, tempPath } = written
  const tls = flag(written, 'ssl', true, complain)
  const endpoint = address(written, 'endpoint', tls, complain)
  const bucket = written['bucketName'] ?? ''
  if (bucket === '') complain('bucketName', 'is missing; a datastore of type s3 needs it')
  const options = {
    bucket,
    credentials: credentials(written, complain),
    region: region || regionOf(endpoint),
    pathStyle: pathStyle(written, endpoint, bucket, complain),
    storageClass: storageClass && storageClass !== 'STANDARD' ? storageClass : undefined,
    encryption: encryption(written, complain),
    prefixLength: prefixLength(written, complain),
    multipart: flag(written, 'multipartUploads', true, complain),
    tempPath: tempPath || undefined,
    links: links(written, tls, endpoint, complain),
    redirectWhenCached: flag(written, 'redirectWhenCached', false, complain),
    federationRedirect: flag(written, 'federationRedirect', false, complain),
  }
  return endpoint && problems.length === 0 ? { ...options, endpoint } : { problems }
}

type Complain = (option: string, problem: string) => void

/** The words that MMR takes, and those of YAML; everything else is a mistake, not a silent "false" as with MMR. */
function flag(written: Written, option: string, usual: boolean, complain: Complain): boolean {
  const word = (written[option] ?? '').trim().toLowerCase()
  if (word === '') return usual
  if (['true', 't', '1', 'yes', 'y', 'on'].includes(word)) return true
  if (!['false', 'f', '0', 'no', 'n', 'off'].includes(word))
    complain(option, `must be true or false, not ${written[option]}`)
  return false
}

function address(written: Written, option: string, tls: boolean, complain: Complain): URL | undefined {
  const text = written[option] ?? ''
  if (text === '') {
    complain(option, 'is missing; a datastore of type s3 needs it')
    return undefined
  }
  const scheme = /^(?<name>[a-z]+):\/\//i.exec(text)?.groups?.['name']?.toLowerCase()
  const url = URL.parse(scheme ? text : `${tls ? 'https' : 'http'}://${text}`)
  if (!url?.hostname || !['http:', 'https:'].includes(url.protocol) || url.search || url.hash || url.username) {
    complain(option, `must be a host such as s3.example.org or s3.example.org:9000, not ${text}`)
    return undefined
  }
  if (written['ssl'] && (url.protocol === 'https:') !== tls) {
    complain(option, `begins with ${scheme}://, and ssl is ${written['ssl']}: leave one of them out`)
  }
  return url
}

function credentials(written: Written, complain: Complain): S3Credentials | undefined {
  const { accessKeyId = '', accessSecret = '', sessionToken = '' } = written
  if (accessKeyId === '' && accessSecret === '' && sessionToken === '') return undefined
  for (const [option, value] of Object.entries({ accessKeyId, accessSecret })) {
    if (value === '')
      complain(option, 'is missing; leave accessKeyId, accessSecret and sessionToken out to use the credentials around')
  }
  return { accessKeyId, secretAccessKey: accessSecret, ...(sessionToken === '' ? {} : { sessionToken }) }
}

/** The region in the name of an endpoint, for services that name theirs so. */
function regionOf(endpoint: URL | undefined): string | undefined {
  const named =
    /^s3[.-](?:dualstack\.)?(?<region>[a-z0-9-]+)\.(?:amazonaws\.com|amazonaws\.com\.cn|backblazeb2\.com|wasabisys\.com|scw\.cloud)$/
  return named.exec(endpoint?.hostname ?? '')?.groups?.['region']
}

/** A bucket with dots in its name has no certificate that fits. */
function pathStyle(written: Written, endpoint: URL | undefined, bucket: string, complain: Complain): boolean {
  const byHost =
    VIRTUAL_HOSTS.test(endpoint?.hostname ?? '') && !(endpoint?.protocol === 'https:' && bucket.includes('.'))
  return flag(written, 'forcePathStyle', !byHost, complain)
}

function encryption(written: Written, complain: Complain): S3Options['encryption'] {
  const { sse = '', sseKmsKeyId = '' } = written
  const kind = ENCRYPTIONS.find((known) => known === sse)
  if (sse !== '' && !kind) complain('sse', `must be one of ${ENCRYPTIONS.join(', ')}, not ${sse}`)
  if (sseKmsKeyId !== '' && !kind?.startsWith('aws:kms'))
    complain('sseKmsKeyId', 'is for sse: aws:kms or aws:kms:dsse only')
  return kind && { kind, kmsKeyId: sseKmsKeyId || undefined }
}

function prefixLength(written: Written, complain: Complain): number {
  const text = (written['prefixLength'] ?? '').trim()
  const length = text === '' ? 0 : Number(text)
  if (Number.isInteger(length) && length >= 0 && length <= LONGEST_PREFIX) return length
  complain('prefixLength', `must be a whole number from 0 to ${LONGEST_PREFIX}, not ${text}`)
  return 0
}

function links(written: Written, tls: boolean, endpoint: URL | undefined, complain: Complain): S3Links | undefined {
  const { publicBaseUrl: baseUrl = '', publicEndpoint = '' } = written
  const presign = flag(written, 'presign', false, complain)
  if (baseUrl !== '' && presign)
    complain('publicBaseUrl', 'and presign are two ways to redirect: leave one of them out')
  if (publicEndpoint !== '' && !presign) complain('publicEndpoint', 'is for presign: true only')
  if (presign) {
    const own = publicEndpoint === '' ? endpoint : address({ publicEndpoint }, 'publicEndpoint', tls, complain)
    return own && { kind: 'presigned', endpoint: own }
  }
  if (baseUrl === '') return undefined
  if (!/^https?:\/\//i.test(baseUrl) || !URL.canParse(baseUrl))
    complain('publicBaseUrl', `must begin with https:// or http://, not ${baseUrl}`)
  return { kind: 'public', baseUrl }
}
