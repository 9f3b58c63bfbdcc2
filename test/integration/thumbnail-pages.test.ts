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
