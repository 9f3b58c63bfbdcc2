/** How many thumbnails sharp alone makes a second of pictures, one after the other. Argument: a `SharpJob` as JSON. */
import { pathToFileURL } from 'node:url'
import sharp, { type Sharp } from 'sharp'

export interface SharpJob {
  /** The pictures, each as often as the others. */
  readonly files: readonly string[]
  readonly type: string
  readonly wanted: { readonly width: number; readonly height: number; readonly method: 'scale' | 'crop' }
  readonly seconds: number
}

const WARM_UP = 5

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(await measure(JSON.parse(process.argv[2] ?? '')))
}

async function measure(job: SharpJob): Promise<number> {
  sharp.cache(false)
  sharp.concurrency(1)
  const { files } = job
  const [first = ''] = files
  for (let made = 0; made < WARM_UP; made++) await make(first, job)
  const began = performance.now()
  let made = 0
  let elapsed = 0
  while (elapsed < job.seconds * 1000) {
    await make(files[made % files.length] ?? first, job)
    made++
    elapsed = performance.now() - began
  }
  return (made * 1000) / elapsed
}

/** With the settings that Cellarium has: of a PNG a PNG, of a GIF animated WebP, of others JPEG. */
async function make(file: string, { type, wanted: { width, height, method } }: SharpJob): Promise<void> {
  const fit = method === 'crop' ? 'cover' : 'inside'
  const image = sharp(file, { sequentialRead: true, animated: true }).resize(width, height, { fit })
  await encoded(image, type).toBuffer()
}

function encoded(image: Sharp, type: string): Sharp {
  if (type === 'image/gif') return image.webp({ effort: 2 })
  return type === 'image/png' ? image.png() : image.jpeg({ quality: 85 })
}
