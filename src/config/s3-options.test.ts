import { describe, expect, test } from 'vitest'
import { readS3Options, type S3Options } from './s3-options.ts'

const NEEDED = { endpoint: 's3.example.org', bucketName: 'media' }

function read(written: Readonly<Record<string, string>>): S3Options {
  const options = readS3Options({ ...NEEDED, ...written })
  if ('problems' in options) throw new Error(JSON.stringify(options.problems))
  return options
}

function problems(written: Readonly<Record<string, string>>): string[] {
  const options = readS3Options({ ...NEEDED, ...written })
  return 'problems' in options ? options.problems.map(({ option, problem }) => `${option} ${problem}`) : []
}

describe('The endpoint', () => {
  test.each([
    ['s3.example.org', '', 'https://s3.example.org/'],
    ['s3.example.org', 'false', 'http://s3.example.org/'],
    ['minio:9000', '0', 'http://minio:9000/'],
    ['[::1]:9000', 'no', 'http://[::1]:9000/'],
    ['https://s3.example.org:8443', '', 'https://s3.example.org:8443/'],
    ['http://127.0.0.1:7070', '', 'http://127.0.0.1:7070/'],
    ['http://127.0.0.1:7070', 'false', 'http://127.0.0.1:7070/'],
    ['https://gateway.example.org/storage/s3', 'true', 'https://gateway.example.org/storage/s3'],
  ])('%j with ssl: %j is %s', (endpoint, ssl, expected) => {
    expect(read({ endpoint, ssl }).endpoint.href).toBe(expected)
  })

  test.each(['ftp://x', 'user@host', 'host?x=1', 'two words', 'https://'])('%j is none', (endpoint) => {
    expect(problems({ endpoint })).toEqual([
      `endpoint must be a host such as s3.example.org or s3.example.org:9000, not ${endpoint}`,
    ])
  })

  test('that contradicts ssl is a mistake', () => {
    expect(problems({ endpoint: 'http://x', ssl: 'true' })).toEqual([
      'endpoint begins with http://, and ssl is true: leave one of them out',
    ])
  })
})

describe('What is not said', () => {
  test('is as with MMR, but uploads never wait in memory', () => {
    expect(read({})).toEqual({
      endpoint: new URL('https://s3.example.org'),
      bucket: 'media',
      credentials: undefined,
      region: undefined,
      pathStyle: true,
      storageClass: undefined,
      encryption: undefined,
      prefixLength: 0,
      multipart: true,
      tempPath: undefined,
      links: undefined,
      redirectWhenCached: false,
      federationRedirect: false,
    })
    expect(read({ storageClass: 'STANDARD' }).storageClass).toBeUndefined()
  })

  test.each([
    ['s3.eu-central-1.amazonaws.com', 'eu-central-1'],
    ['s3.dualstack.eu-west-1.amazonaws.com', 'eu-west-1'],
    ['s3.amazonaws.com', undefined],
    ['s3.us-west-004.backblazeb2.com', 'us-west-004'],
    ['s3.nl-ams.scw.cloud', 'nl-ams'],
    ['s3.eu-central-2.wasabisys.com', 'eu-central-2'],
    ['s3.my-company.org', undefined],
  ])('is the region, where %s does not name it', (endpoint, region) => {
    expect(read({ endpoint }).region).toBe(region)
    expect(read({ endpoint, region: 'own' }).region).toBe('own')
  })

  test.each([
    [{ endpoint: 's3.eu-central-1.amazonaws.com' }, false],
    [{ endpoint: 's3.eu-central-1.amazonaws.com', bucketName: 'with.dots' }, true],
    [{ endpoint: 's3.eu-central-1.amazonaws.com', forcePathStyle: 'true' }, true],
    [{ endpoint: 'minio:9000' }, true],
    [{ endpoint: 'fra1.digitaloceanspaces.com', forcePathStyle: 'false' }, false],
  ])('is where the bucket is named: %j', (written, pathStyle) => {
    expect(read(written).pathStyle).toBe(pathStyle)
  })
})

test('Ways to send clients to objects', () => {
  expect(read({ publicBaseUrl: 'https://cdn.example.org/m/' }).links).toEqual({
    kind: 'public',
    baseUrl: 'https://cdn.example.org/m/',
  })
  expect(read({ presign: 'true' }).links).toEqual({ kind: 'presigned', endpoint: new URL('https://s3.example.org') })
  expect(read({ presign: 'true', publicEndpoint: 'http://outside:9' }).links).toEqual({
    kind: 'presigned',
    endpoint: new URL('http://outside:9'),
  })
})

test.each<[Record<string, string>, string]>([
  [{ endpoint: '' }, 'endpoint is missing; a datastore of type s3 needs it'],
  [{ bucketName: '' }, 'bucketName is missing; a datastore of type s3 needs it'],
  [{ ssl: 'maybe' }, 'ssl must be true or false, not maybe'],
  [{ multipartUploads: '2' }, 'multipartUploads must be true or false, not 2'],
  [{ prefixLength: '33' }, 'prefixLength must be a whole number from 0 to 32, not 33'],
  [{ prefixLength: '1.5' }, 'prefixLength must be a whole number from 0 to 32, not 1.5'],
  [{ prefixLength: '-1' }, 'prefixLength must be a whole number from 0 to 32, not -1'],
  [{ sse: 'aes' }, 'sse must be one of AES256, aws:kms, aws:kms:dsse, not aes'],
  [{ sse: 'AES256', sseKmsKeyId: 'k' }, 'sseKmsKeyId is for sse: aws:kms or aws:kms:dsse only'],
  [{ publicBaseUrl: 'cdn.example.org' }, 'publicBaseUrl must begin with https:// or http://, not cdn.example.org'],
  [{ publicEndpoint: 'x' }, 'publicEndpoint is for presign: true only'],
  [
    { presign: 'true', publicBaseUrl: 'https://x/' },
    'publicBaseUrl and presign are two ways to redirect: leave one of them out',
  ],
  [
    { accessKeyId: 'k' },
    'accessSecret is missing; leave accessKeyId, accessSecret and sessionToken out to use the credentials around',
  ],
])('%j is a mistake that is named', (written, problem) => {
  expect(problems(written)).toEqual([problem])
})
