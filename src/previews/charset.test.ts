import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PageDecoder } from './charset.ts'

const UMLAUT = 'Grüße'
const utf8 = Buffer.from(UMLAUT)
const latin1 = Buffer.from(UMLAUT, 'latin1')

function decode(bytes: Buffer, header?: string, pieceSize = bytes.length || 1): string {
  const decoder = new PageDecoder(header)
  let text = ''
  for (let at = 0; at < bytes.length; at += pieceSize) text += decoder.decode(bytes.subarray(at, at + pieceSize))
  return text + decoder.end()
}

/** The text of a page after what it says about its charset. */
function body(before: string, bytes: Buffer, header?: string): string {
  const text = decode(Buffer.concat([Buffer.from(before), bytes]), header)
  return text.slice(text.lastIndexOf('>') + 1)
}

describe('the charset of a page', () => {
  test.each([
    ['is UTF-8 if nothing is said and it is', '<p>', utf8, undefined],
    ['is windows-1252 if nothing is said and it is not UTF-8', '<p>', latin1, undefined],
    ['is what the header says', '<p>', latin1, 'iso-8859-1'],
    ['is what meta says', '<meta charset="iso-8859-1">', latin1, undefined],
    ['is what meta says without quotes', '<meta charset=iso-8859-1 >', latin1, undefined],
    [
      'is what http-equiv says',
      '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">',
      latin1,
      undefined,
    ],
    ['is what the XML declaration says', '<?xml version="1.0" encoding="iso-8859-1"?>', latin1, undefined],
    ['is what the header says, not meta', '<meta charset="koi8-r">', latin1, 'iso-8859-1'],
    [
      'is what meta says, not XML',
      '<?xml version="1.0" encoding="koi8-r"?><meta charset="iso-8859-1">',
      latin1,
      undefined,
    ],
    ['is the next one if the header names none that is known', '<meta charset="iso-8859-1">', latin1, 'x-nonsense'],
    [
      'is the next meta if one names none that is known',
      '<meta charset="wat"><meta charset="latin1">',
      latin1,
      undefined,
    ],
    ['is guessed if none is known', '<meta charset="wat">', utf8, 'x-nonsense'],
    ['is not what a comment says', '<!-- <meta charset="koi8-r"> --><p>', utf8, undefined],
    ['is windows-1252 if it is said to be UTF-8 and is not', '<meta charset="utf-8">', latin1, 'utf-8'],
    ['is read from odd quotes', '<p>', latin1, `'"iso-8859-1"; q=1`],
    ['is read with underscores', '<p>', latin1, 'ISO_8859_1'],
    ['may be written utf_8', '<meta charset="UTF_8">', utf8, undefined],
    ['is not UTF-16 if a meta in ASCII says so', '<meta charset="utf-16">', utf8, undefined],
  ])('%s', (_, before, bytes, header) => {
    expect(body(before, bytes, header)).toBe(UMLAUT)
  })

  test.each([
    ['shift_jis', [0x83, 0x65, 0x83, 0x58, 0x83, 0x67], 'テスト'],
    ['euc-kr', [0xc7, 0xd1, 0xb1, 0xdb], '한글'],
    ['gb2312', [0xd6, 0xd0, 0xce, 0xc4], '中文'],
    ['big5', [0xa4, 0xa4, 0xa4, 0xe5], '中文'],
    ['koi8-r', [0xf0, 0xd2, 0xc9], 'При'],
    ['windows-1251', [0xcf, 0xf0, 0xe8], 'При'],
    ['windows-1252', [0x93, 0x80, 0x94], '“€”'],
    ['iso-8859-15', [0xa4], '€'],
    ['euc-jp', [0xc6, 0xfc, 0xcb, 0xdc], '日本'],
  ])('can be %s', (charset, bytes, text) => {
    expect(body(`<meta charset="${charset}">`, Buffer.from(bytes))).toBe(text)
    expect(decode(Buffer.from(bytes), charset)).toBe(text)
  })

  test('is that of its byte order mark, whatever the header says', () => {
    expect(decode(Buffer.from('\ufeff' + UMLAUT), 'iso-8859-1')).toBe(UMLAUT)
    expect(decode(Buffer.from('\ufeff' + UMLAUT, 'utf16le'), 'utf-8')).toBe(UMLAUT)
    expect(decode(Buffer.from('\ufeff' + UMLAUT, 'utf16le').swap16())).toBe(UMLAUT)
  })

  test('is seen in UTF-16 without a mark', () => {
    expect(decode(Buffer.from(`<p>${UMLAUT}`, 'utf16le'))).toBe(`<p>${UMLAUT}`)
    expect(decode(Buffer.from(`<p>${UMLAUT}`, 'utf16le').swap16())).toBe(`<p>${UMLAUT}`)
  })

  test('stays UTF-8 if but a few characters are damaged', () => {
    const damaged = Buffer.concat([Buffer.from(UMLAUT.repeat(3)), Buffer.from([0xe2, 0x80]), Buffer.from('<p>')])
    expect(decode(damaged)).toBe(`${UMLAUT.repeat(3)}\ufffd<p>`)
  })

  test('is found late: when the first letters beyond ASCII come', () => {
    const ascii = Buffer.alloc(100_000, 'a')
    expect(decode(Buffer.concat([ascii, latin1]), undefined, 8192).slice(100_000)).toBe(UMLAUT)
    expect(decode(Buffer.concat([ascii, utf8]), undefined, 8192).slice(100_000)).toBe(UMLAUT)
  })

  test('does not depend on where the pieces of a page end', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 60 }),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom('', UMLAUT),
        (text, pieceSize, before) => {
          const bytes = Buffer.from(`x${before}${text}`)
          expect(decode(bytes, undefined, pieceSize)).toBe(`x${before}${text}`)
        },
      ),
    )
  })

  test('can be anything: no bytes are too odd', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.string({ maxLength: 12 }), (bytes, header) => {
        expect(typeof decode(Buffer.from(bytes), header, 7)).toBe('string')
      }),
    )
  })
})
