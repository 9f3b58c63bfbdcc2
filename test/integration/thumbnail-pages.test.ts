import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pdfOf } from '../support/films.ts'
import { type Folder, temporaryFolder } from '../support/folder.ts'
import { describeWith } from '../support/services.ts'
import { colourAt, openThumbnailer, type Thumbnailer } from '../support/thumbnailing.ts'

const red = { width: 200, height: 300, colour: '1 0 0' }
const blue = { width: 200, height: 300, colour: '0 0 1' }

describeWith('pdftoppm', 'a thumbnail of a PDF file', () => {
  let folder: Folder
  let pool: Thumbnailer
  beforeAll(async () => {
    folder = await temporaryFolder()
    pool = openThumbnailer(folder.path, ['application/pdf'])
  })
  afterAll(async () => {
    await pool[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  test('is its first page, as PNG', async () => {
    const made = await pool.thumbnail(pdfOf([red, blue]), { width: 320, height: 240 })
    expect(made).toMatchObject({ kind: 'thumbnail', contentType: 'image/png', width: 160, height: 240 })
    expect(await colourAt(made.target, 0.5, 0.5)).toBe('#f00')
  })

  test.each([
    ['a stamp', { width: 10, height: 15 }, [40, 60]],
    ['a poster of five metres', { width: 9600, height: 14_400 }, [40, 60]],
    ['a banner', { width: 14_400, height: 10 }, [80, 1]],
  ])('has the size asked for, whatever that of the page: %s', async (_, size, [width, height]) => {
    expect(await pool.thumbnail(pdfOf([{ ...red, ...size }]))).toMatchObject({ width, height })
  })

  test('is cropped to the size asked for', async () => {
    const made = await pool.thumbnail(pdfOf([blue]), { width: 96, height: 96, method: 'crop' })
    expect(made).toMatchObject({ width: 96, height: 96 })
    expect(await colourAt(made.target, 0, 0)).toBe('#00f')
  })

  const crops = [
    ['a banner', { width: 3000, height: 300 }],
    ['a long list', { width: 210, height: 5000 }],
    ['a line', { width: 14_400, height: 2 }],
    ['a stamp', { width: 40, height: 10 }],
    ['little wider than twice its height', { width: 421, height: 210 }],
  ] as const
  const asked = [
    { width: 96, height: 96 },
    { width: 320, height: 120 },
    { width: 60, height: 200 },
  ]
  test.each(crops.flatMap(([what, page]) => asked.map((size) => ({ what, page, ...size }))))(
    'is cropped to exactly that: $what to $width × $height',
    async ({ page, width, height }) => {
      const made = await pool.thumbnail(pdfOf([{ ...red, ...page }]), { width, height, method: 'crop' })
      expect(await sharp(made.target).metadata()).toMatchObject({ format: 'png', width, height })
      for (const x of [0, 1]) for (const y of [0, 1]) expect(await colourAt(made.target, x, y)).toBe('#f00')
    },
  )

  test('shows the middle of what is cropped', async () => {
    const page = { width: 1000, height: 100, colour: '0 1 0', drawn: '0 0 1 rg 440 0 120 100 re f' }
    const made = await pool.thumbnail(pdfOf([page]), { width: 90, height: 90, method: 'crop' })
    for (const x of [0, 1]) expect(await colourAt(made.target, x, 0.5)).toBe('#00f')
    const wider = await pool.thumbnail(pdfOf([page]), { width: 120, height: 90, method: 'crop' })
    for (const x of [0, 1]) expect(await colourAt(wider.target, x, 0.5)).toBe('#0f0')
    expect(await colourAt(wider.target, 0.5, 0.5)).toBe('#00f')
  })

  test('shows what remains of a file that is cut short, or is refused', async () => {
    const whole = pdfOf([red])
    for (let tenth = 1; tenth < 10; tenth++) {
      const cut = whole.subarray(0, (whole.length * tenth) / 10)
      const message = await pool.thumbnail(cut).then(
        ({ contentType }) => contentType,
        (error: unknown) => String(error),
      )
      expect(message).toMatch(/^image\/png$|Cannot make a thumbnail/)
    }
    expect(await pool.thumbnail(whole)).toMatchObject({ width: 40 })
  })

  test('is refused where there is no page', async () => {
    await expect(pool.thumbnail(pdfOf([]))).rejects.toThrow('Cannot make a thumbnail')
  })

  test('is made only where the type is enabled', async () => {
    await expect(pool.thumbnail(pdfOf([red]), { types: ['image/png'] })).rejects.toThrow(
      'none of application/pdf files',
    )
  })
})
