/**
 * What the AWS SDK alone does on one core: puts a body, or gets one, several at a time for so long, and prints bytes a second.
 * Arguments: `put` or `get`, the bytes of a body, how many at a time, seconds, and the bucket as JSON (a datastore's `opts`).
 */
import { randomBytes } from 'node:crypto'
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'

const [what = '', bytes = '', connections = '', seconds = '', place = ''] = process.argv.slice(2)
const { endpoint, bucketName: Bucket, accessKeyId, accessSecret, region }: Record<string, string> = JSON.parse(place)
const client = new S3Client({
  endpoint: `http://${endpoint}`,
  region: region ?? '',
  credentials: { accessKeyId: accessKeyId ?? '', secretAccessKey: accessSecret ?? '' },
  forcePathStyle: true,
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED',
})
const body = Buffer.alloc(Number(bytes), '.')
const run = randomBytes(6).toString('hex')
const began = performance.now()
let begun = 0
let done = 0

async function put(Key: string): Promise<void> {
  await client.send(new PutObjectCommand({ Bucket, Key, Body: body, ContentLength: body.length }))
}

async function get(Key: string): Promise<void> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }))
  for await (const chunk of Body as AsyncIterable<Buffer>) done += chunk.length
}

async function goOn(): Promise<void> {
  while (performance.now() - began < Number(seconds) * 1000) {
    if (what === 'get') await get('reference')
    else {
      await put(`${run}-${begun++}`)
      done += body.length
    }
  }
}

if (what === 'get') await put('reference')
await Promise.all(Array.from({ length: Number(connections) }, goOn))
console.log(done / ((performance.now() - began) / 1000))
client.destroy()
