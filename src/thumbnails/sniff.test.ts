import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isSvg, sniff } from './sniff.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cellarium-test-'))
})
afterAll(() => rm(folder, { recursive: true }))

const DOCTYPE = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'

test.each([
  '<svg/>',
  '<svg>',
  '<svg xmlns="http://www.w3.org/2000/svg">',
  '<svg:svg xmlns:svg="http://www.w3.org/2000/svg">',
  '\uFEFF  \r\n<svg\n width="1">',
  '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<!-- drawn by <somebody> -->\n<svg >',
  `<?xml version="1.0"?>${DOCTYPE}<svg>`,
  '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "b">\n<!ENTITY c "d">]><!-- --><svg>',
  '<?xml version="1.0"?><?xml-stylesheet href="a.css"?><svg>',
])('a document that begins with %j is SVG', async (text) => {
  expect(isSvg(text)).toBe(true)
  const file = join(folder, 'file')
  await writeFile(file, `${text}${' '.repeat(5000)}`)
  expect(await sniff(file)).toBe('image/svg+xml')
})

test.each([
  '',
  'svg',
  '<svgs>',
  '<html><svg>',
  '<!-- <svg> ',
  '<?xml version="1.0"?><rss><svg/></rss>',
  `${DOCTYPE}<html>`,
  'text <svg>',
])('a document that begins with %j is not', (text) => {
  expect(isSvg(text)).toBe(false)
})

test('what takes long to understand is not waited for', () => {
  const began = performance.now()
  for (const text of ['<!--'.repeat(1000), '<!DOCTYPE x [ '.repeat(300), '<? '.repeat(1300), `${' '.repeat(4000)}x`]) {
    expect(isSvg(text)).toBe(false)
  }
  expect(performance.now() - began).toBeLessThan(5000)
})
