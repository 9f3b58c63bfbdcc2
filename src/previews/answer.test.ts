import { expect, test } from 'vitest'
import { answered, previewOf } from './answer.ts'

const asIs = { title: (text: string) => text, description: (text: string) => text }
const picture = { contentType: 'image/png', width: 640, height: 360, size: 1234 }

test('What is empty is left out of a preview', () => {
  expect(previewOf({}, asIs)).toEqual({})
  const more = new Map<string, string | number>([
    ['og:video:width', 0],
    ['og:locale', ''],
  ])
  expect(previewOf({ title: '', description: 'text', more }, asIs)).toEqual({ 'og:description': 'text' })
})

test('What a page says of its picture gives way to what is known of it', () => {
  const more = new Map<string, string | number>([
    ['og:image:width', '99'],
    ['og:image', 'http://x/'],
    ['og:video', 'http://y/'],
  ])
  const said = { 'og:title': 'T', 'og:video': 'http://y/' }
  expect(previewOf({ title: 'T', more }, asIs)).toEqual(said)
  const sizes = { 'og:image:width': 640, 'og:image:height': 360, 'matrix:image:size': 1234 }
  expect(previewOf({ title: 'T', more }, asIs, picture)).toEqual({ ...said, 'og:image:type': 'image/png', ...sizes })
})

test('A preview whose picture nobody may have says nothing about it', () => {
  const stored = previewOf({ title: 'T' }, asIs, picture)
  expect(answered(stored, 'mxc://a/b')).toEqual({ ...stored, 'og:image': 'mxc://a/b' })
  expect(answered(stored, undefined)).toEqual({ 'og:title': 'T' })
})
