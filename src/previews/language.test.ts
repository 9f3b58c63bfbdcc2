import { expect, test } from 'vitest'
import { languageOf } from './language.ts'

const of = (accepted: string | undefined) => languageOf(accepted, 'fr')

test('Languages are asked for in one form, however clients write them', () => {
  for (const same of [
    'de-AT,de;q=0.9,en;q=0.8',
    'de-at, DE;q=0.5 , en;q=0.1',
    'en;q=0.2,de;q=0.7,de-AT',
    'de-AT,de-AT,de,en',
  ]) {
    expect(of(same)).toBe('de-AT,de;q=0.9,en;q=0.8')
  }
  expect(of('zh-hant-tw')).toBe('zh-Hant-TW')
})

test('Of many languages the best four count', () => {
  expect(of('a,b;q=0.1,c;q=0.9,d;q=0.8,e;q=0.7,f;q=0.6')).toBe('a,c;q=0.9,d;q=0.8,e;q=0.7')
})

test('Who names no language, or none that can be understood, gets the default', () => {
  for (const none of [undefined, '', '*', '%%%', 'de;q=0', 'de;q=x', 'x\r\ny', ',,,', 'ü']) expect(of(none)).toBe('fr')
  expect(languageOf(undefined, 'en-US,en')).toBe('en-US,en;q=0.9')
  expect(languageOf(undefined, '')).toBe('en-US,en;q=0.9')
})
