/** How many thumbnails sharp alone makes a second of a picture, one after the other. Arguments: the picture, seconds. */
import sharp from 'sharp'

const [picture = '', seconds = '1'] = process.argv.slice(2)
sharp.cache(false)
sharp.concurrency(1)

const isAnimation = (await sharp(picture).metadata()).format === 'gif'
await make()
const began = performance.now()
let made = 0
let elapsed = 0
while (elapsed < Number(seconds) * 1000) {
  await make()
  made++
  elapsed = performance.now() - began
}
console.log((made * 1000) / elapsed)

/** As Cellarium makes them: of a GIF animated WebP, of other pictures JPEG. */
async function make(): Promise<void> {
  const image = sharp(picture, { sequentialRead: true, animated: true }).resize(320, 240, { fit: 'inside' })
  await (isAnimation ? image.webp({ effort: 2 }) : image.jpeg({ quality: 85 })).toBuffer()
}
