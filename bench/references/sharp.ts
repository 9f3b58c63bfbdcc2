/** How many thumbnails sharp alone makes a second of a picture, one after the other. Arguments: the picture, seconds. */
import sharp from 'sharp'

const [picture = '', seconds = '1'] = process.argv.slice(2)
sharp.cache(false)
sharp.concurrency(1)

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

async function make(): Promise<void> {
  await sharp(picture, { sequentialRead: true }).resize(320, 240, { fit: 'inside' }).jpeg({ quality: 85 }).toBuffer()
}
