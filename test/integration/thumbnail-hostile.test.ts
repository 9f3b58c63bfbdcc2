import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE, startApp } from '../support/app.ts'
import { mutate } from '../support/mutations.ts'
import { byCjxl, byHeifEnc, byImageMagick } from '../support/picture-makers.ts'
import { seededRandom } from '../support/random.ts'
import { makeScene } from '../support/scene.ts'
import { describeWith } from '../support/services.ts'
import { childrensMemory, openThumbnailJobs, type Outcome, type ThumbnailJobs } from '../support/thumbnail-jobs.ts'

const scene = makeScene(120, 90)
const SVG = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [<!ENTITY a "12">]>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 120 90">
  <defs><linearGradient id="g"><stop stop-color="red"/><stop offset="1" stop-color="#00f"/></linearGradient>
  <filter id="f"><feGaussianBlur stdDeviation="2"/></filter><pattern id="p" width="9" height="9"><path d="M0 0h5"/></pattern>
  <g id="u"><rect x="&a;" y="5" width="40" height="30" fill="url(#g)" filter="url(#f)"/></g></defs>
  <style>text{font-size:9px}</style><use xlink:href="#u" transform="rotate(9 20 20) scale(1.2)"/><text x="9" y="80">Words</text>
  <path d="M10 60 C 20 20, 40 20, 50 60 S 90 90 110 60" stroke="black" fill="url(#p)"/></svg>`

/** One good picture of each type. */
const files = new Map<string, Buffer>()
let jobs: ThumbnailJobs

describeWith(['imagemagick', 'heif-enc', 'cjxl'], 'Damaged and hostile pictures', () => {
  beforeAll(async () => {
    jobs = await openThumbnailJobs()
    for (const type of ['jpeg', 'png', 'gif', 'webp', 'avif', 'tiff', 'bmp']) {
      files.set(`image/${type}`, await byImageMagick(jobs.folder, scene, type, ['-quality', '80']))
    }
    files.set('image/x-bmp', await byImageMagick(jobs.folder, scene, 'bmp3', ['-colors', '200', '-compress', 'RLE']))
    files.set('image/heic', await byHeifEnc(jobs.folder, scene, ['-q', '50']))
    files.set('image/jxl', await byCjxl(jobs.folder, scene, ['-d', '3', '--container=1']))
    files.set('image/svg+xml', Buffer.from(SVG))
  })
  afterAll(async () => {
    await jobs[Symbol.asyncDispose]()
  })

  test('are told from good ones, which all give a thumbnail', async () => {
    for (const [type, bytes] of files) expect([type, await jobs.outcome(bytes)]).toEqual([type, 'made'])
  })

  test('cut off at every tenth of their length are refused', async () => {
    for (const [type, bytes] of files) {
      const tenths = Array.from({ length: 9 }, (_, index) =>
        bytes.subarray(0, Math.ceil((bytes.length * (index + 1)) / 10)),
      )
      const outcomes = await Promise.all(tenths.map((part) => jobs.outcome(part)))
      // What ImageMagick writes behind a PNG's pixels may be the last tenth.
      expect([type, outcomes.slice(0, 8)]).toEqual([type, Array.from({ length: 8 }, () => 'refused')])
    }
  })

  test('are never a server error', async () => {
    await using app = await startApp({
      config: { thumbnails: { types: [...files.keys()] }, uploads: { minBytes: 0 } },
      environment: { PATH: process.env['PATH'] },
      thumbnailQueue: { waiting: 500, longestWaitMs: 600_000 },
    })
    const random = seededRandom()
    const damaged = [...files.values()].flatMap((bytes) => [
      bytes.subarray(0, bytes.length / 2),
      ...Array.from({ length: 8 }, () => mutate(bytes, random)),
    ])
    const statuses = await Promise.all(
      damaged.map(async (bytes) => {
        const path = `/_matrix/client/v1/media/thumbnail/${await app.upload(bytes)}?width=48&height=36&method=crop`
        return (await app.ask(path, { token: ALICE.token })).status
      }),
    )
    const summary = `seed ${random.seed}: ${statuses.join(' ')}`
    expect(
      statuses.filter((status) => ![200, 400, 413].includes(status)),
      summary,
    ).toEqual([])
    for (const status of [200, 400]) expect(statuses, summary).toContain(status)
  }, 240_000)

  // Two thousand and more of the types that libvips and we read; the programs take ten times as long for each.
  test('changed at random end neither the pool nor its patience, and its memory stays bounded', async ({
    annotate,
  }) => {
    const random = seededRandom()
    await annotate(`seed ${random.seed} (CELLARIUM_TEST_SEED)`)
    const outcomes = new Map<Outcome, number>()
    let memory = 0
    const watch = setInterval(() => void childrensMemory().then((bytes) => (memory = Math.max(memory, bytes))), 100)
    const slow = ['image/heic', 'image/jxl']
    for (const [type, bytes] of files) {
      const rounds = slow.includes(type) ? 60 : 230
      const work = Array.from({ length: rounds }, async () => {
        const how = await jobs.outcome(mutate(bytes, random))
        outcomes.set(how, (outcomes.get(how) ?? 0) + 1)
        if (how.startsWith('took') || how === 'crashed') await annotate(`seed ${random.seed}: ${type} ${how}`)
      })
      await Promise.all(work)
    }
    clearInterval(watch)
    const summary = `seed ${random.seed}: ${JSON.stringify(Object.fromEntries(outcomes))}, ${memory >> 20} MiB at most`
    await annotate(summary)
    console.log(summary)
    const all = [...outcomes.values()].reduce((sum, number) => sum + number, 0)
    expect(all, summary).toBeGreaterThanOrEqual(2000)
    expect(outcomes.get('took too long') ?? 0, summary).toBe(0)
    // Each costs its worker; decoders that are up to date are not expected to, more than once in a blue moon.
    expect(outcomes.get('crashed') ?? 0, summary).toBeLessThanOrEqual(2)
    // Neither all refused (the changes are too much) nor all made (too little).
    expect(outcomes.get('made'), summary).toBeGreaterThan(all / 20)
    expect(outcomes.get('refused'), summary).toBeGreaterThan(all / 5)
    expect(memory, summary).toBeLessThan(jobs.memoryLimitBytes * 1.25)
    expect(await jobs.outcome(files.get('image/png') ?? Buffer.alloc(0))).toBe('made')
    expect(await jobs.leftBehind()).toEqual([])
  }, 240_000)
})
