import { create } from 'content-disposition'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bareFileName } from '../lib/file-name.ts'
import { fileNameIn, headerText } from './remote-file-name.ts'

const onTheWire = (text: string) => Buffer.from(text).toString('latin1')

describe('The name in a Content-Disposition header', () => {
  test.each<[string | undefined, string | null]>([
    ['inline; filename=picture.png', 'picture.png'],
    ['attachment; filename="picture.png"', 'picture.png'],
    ['INLINE ; FileName = "a b.png"', 'a b.png'],
    ['inline; filename="name;with;semicolons"', 'name;with;semicolons'],
    ['inline; filename=name with spaces', 'name with spaces'],
    ['inline; filename="a\\"b\\\\c"', 'a"b\\c'],
    ['inline; filename="aze"rty"', 'aze"rty'],
    ['inline; filename="aze"rty"; size=3', 'aze"rty'],
    ['inline; filename="a"; other="b"', 'a'],
    ['inline; other="b"; filename="a"', 'a'],
    ['inline; filename="50%20off.png"', '50%20off.png'],
    [`inline; filename*=utf-8''%E2%98%95.png`, '☕.png'],
    [`inline; filename*=UTF-8'de'%e2%98%95.png; filename="coffee.png"`, '☕.png'],
    [`inline; filename="coffee.png"; filename*=UTF8''%e2%98%95.png`, '☕.png'],
    [`inline; filename*="utf-8''%E2%98%95.png"`, '☕.png'],
    [`inline; filename*=iso-8859-1''%e4.png`, 'ä.png'],
    [`inline; filename="coffee.png"; filename*=utf-8''%ff.png`, 'coffee.png'],
    [`inline; filename="coffee.png"; filename*=koi8-r''%ff.png`, 'coffee.png'],
    [`inline; filename*=utf-8''`, null],
    ['filename="picture.png"', 'picture.png'],
    ['inline; filename="☕"', '☕'],
    ['inline', null],
    ['inline; filename=', null],
    ['inline; filename=""', null],
    ['inline; filename="never ends', null],
    ['inline; filename="../../etc/passwd"', 'passwd'],
    [`inline; filename*=utf-8''..%2F..`, null],
    [`inline; filename*=utf-8''a%0D%0Ab%00.png`, 'ab.png'],
    ['', null],
    [undefined, null],
  ])('%j is %j', (header, name) => {
    expect(fileNameIn(header)).toBe(name)
  })

  test('is cut after 255 characters, and not looked for in a header of more than 8 KiB', () => {
    expect(fileNameIn(`inline; filename="${'x'.repeat(300)}"`)).toBe('x'.repeat(255))
    expect(fileNameIn(`inline; filename*=utf-8''${'%F0%9F%98%80'.repeat(200)}`)?.isWellFormed()).toBe(true)
    expect(fileNameIn(`inline; filename=a; x="${'x'.repeat(9000)}"`)).toBeNull()
  })

  test('takes no longer for headers that were made to take long', () => {
    const before = performance.now()
    for (const piece of ['; filename="', 'a"', '\\', '; filename="\\', ';', ' ']) {
      fileNameIn(`inline${piece.repeat(8000 / piece.length)}`)
    }
    expect(performance.now() - before).toBeLessThan(10_000)
  })

  test('is the name that was written there, if it is a name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (name) => {
        const bare = bareFileName(name)
        expect(fileNameIn(create(name, { type: 'inline' }))).toBe(bare)
      }),
    )
  })
})

test('A header in UTF-8, which HTTP hands over as Latin-1, is read as it was meant', () => {
  expect(headerText(onTheWire('inline; filename="☕"'))).toBe('inline; filename="☕"')
  expect(headerText('inline; filename="ä"')).toBe('inline; filename="ä"')
  expect(headerText('inline')).toBe('inline')
})
