import type { Page } from './page.ts'

/** Languages and charsets of the world: as the header, a byte order mark or the page itself says, and where they lie. */
export const languages: readonly Page[] = [
  {
    at: 'novosti.test/header',
    like: 'Russian in windows-1251, as the header says',
    type: 'text/html; charset=windows-1251',
    charset: 'windows-1251',
    body: `<html lang="ru"><head><title>Мост открыт</title><meta name="description" content="После двух лет ремонта первыми проехали велосипедисты."></head><body></body></html>`,
    preview: { 'og:title': 'Мост открыт', 'og:description': 'После двух лет ремонта первыми проехали велосипедисты.' },
  },
  {
    at: 'novosti.test/meta',
    like: 'Russian in windows-1251, as a meta element says',
    type: 'text/html',
    charset: 'windows-1251',
    body: `<html lang="ru"><head><meta http-equiv="Content-Type" content="text/html; charset=windows-1251"><title>Погода</title>
<meta property="og:description" content="Дождь до вечера."></head><body></body></html>`,
    preview: { 'og:title': 'Погода', 'og:description': 'Дождь до вечера.' },
  },
  {
    at: 'staroe.test/',
    like: 'Russian in KOI8-R',
    type: 'text/html',
    charset: 'koi8-r',
    body: `<html><head><meta charset=koi8-r><title>Архив</title><meta name=description content="Письма и статьи."></head></html>`,
    preview: { 'og:title': 'Архив', 'og:description': 'Письма и статьи.' },
  },
  {
    at: 'shimbun.test/',
    like: 'Japanese in Shift_JIS, as a meta element says',
    type: 'text/html',
    charset: 'shift_jis',
    body: `<html lang="ja"><head><meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS"><title>橋が再開通</title>
<meta name="description" content="二年ぶりに表示される予定です。"></head><body></body></html>`,
    preview: { 'og:title': '橋が再開通', 'og:description': '二年ぶりに表示される予定です。' },
  },
  {
    at: 'nikki.test/',
    like: 'Japanese in EUC-JP, as the header says',
    type: 'text/html; charset="EUC-JP"',
    charset: 'euc-jp',
    body: `<html lang="ja"><head><title>日記</title><meta name="description" content="川のカワウソ。"></head><body></body></html>`,
    preview: { 'og:title': '日記', 'og:description': '川のカワウソ。' },
  },
  {
    at: 'xinwen.test/',
    like: 'Chinese in GBK, called gb2312',
    type: 'text/html; charset=gb2312',
    charset: 'gbk',
    body: `<html lang="zh-CN"><head><meta charset="gb2312"><title>大桥重新开放</title><meta name="description" content="骑自行车的人最先过桥。"></head><body></body></html>`,
    preview: { 'og:title': '大桥重新开放', 'og:description': '骑自行车的人最先过桥。' },
  },
  {
    at: 'zeitung.test/preise',
    like: 'German in ISO-8859-15, with the sign of the euro',
    type: 'text/html; charset=ISO-8859-15',
    charset: 'iso-8859-15',
    body: `<html lang="de"><head><title>Brötchen kosten jetzt 1 €</title><meta name="description" content="Bäcker begründen das mit Löhnen."></head><body></body></html>`,
    preview: { 'og:title': 'Brötchen kosten jetzt 1 €', 'og:description': 'Bäcker begründen das mit Löhnen.' },
  },
  {
    at: 'wide.test/le',
    like: 'UTF-16, little end first, as only the byte order mark says',
    type: 'text/html',
    charset: 'utf-16le with BOM',
    body: `<html lang="de"><head><title>Größe – zwei Byte</title><meta name="description" content="Ein Zeichen, zwei Byte: ₿."></head></html>`,
    preview: { 'og:title': 'Größe – zwei Byte', 'og:description': 'Ein Zeichen, zwei Byte: ₿.' },
  },
  {
    at: 'wide.test/be',
    like: 'UTF-16, big end first, although a meta element says something else',
    type: 'text/html',
    charset: 'utf-16be with BOM',
    body: `<html lang="de"><head><meta charset="iso-8859-1"><title>Länge</title><meta name="description" content="Die Marke gewinnt."></head></html>`,
    preview: { 'og:title': 'Länge', 'og:description': 'Die Marke gewinnt.' },
  },
  {
    at: 'marked.test/',
    like: 'UTF-8 with a byte order mark, although the header says Latin 1',
    type: 'text/html; charset=iso-8859-1',
    charset: 'utf-8 with BOM',
    body: `<html lang="de"><head><title>Übergröße</title><meta name="description" content="Schuhe ab Größe 50."></head></html>`,
    preview: { 'og:title': 'Übergröße', 'og:description': 'Schuhe ab Größe 50.' },
  },
  {
    at: 'lying.test/called-utf-8',
    like: 'windows-1252 that is called UTF-8',
    type: 'text/html; charset=utf-8',
    charset: 'windows-1252',
    body: `<html lang="fr"><head><title>Le café “du Pont”</title><meta name="description" content="Fermé l’été."></head></html>`,
    preview: { 'og:title': 'Le café “du Pont”', 'og:description': 'Fermé l’été.' },
  },
  {
    at: 'lying.test/unknown',
    like: 'UTF-8 in a charset that does not exist',
    type: 'text/html; charset=none',
    body: `<html lang="cs"><head><title>Žluťoučký kůň</title><meta name="description" content="Úpěl ďábelské ódy."></head></html>`,
    preview: { 'og:title': 'Žluťoučký kůň', 'og:description': 'Úpěl ďábelské ódy.' },
  },
  {
    at: 'akhbar.test/',
    like: 'Arabic, from right to left',
    body: `<!doctype html><html lang="ar" dir="rtl"><head><meta charset="utf-8"><title>إعادة فتح الجسر</title><meta property="og:description" content="كان راكبو الدراجات أول من عبر."></head></html>`,
    preview: { 'og:title': 'إعادة فتح الجسر', 'og:description': 'كان راكبو الدراجات أول من عبر.' },
  },
  {
    at: 'samachar.test/',
    like: 'Hindi',
    body: `<!doctype html><html lang="hi"><head><meta charset="utf-8"><title>पुल फिर खुला</title><meta property="og:description" content="सबसे पहले साइकिल सवार गुज़रे।"></head></html>`,
    preview: { 'og:title': 'पुल फिर खुला', 'og:description': 'सबसे पहले साइकिल सवार गुज़रे।' },
  },
  {
    at: 'xn--bcher-kva.test/%C3%BCber-uns?q=%E6%A9%8B',
    asked: 'bücher.test/über-uns?q=橋',
    like: 'a name and a path with letters beyond ASCII',
    body: `<!doctype html><html lang="de"><head><meta charset="utf-8"><title>Über uns · Bücher</title><meta name="description" content="Seit 1899.">
<meta property="og:image" content="/bild-ä-300x200.png"></head></html>`,
    preview: {
      'og:title': 'Über uns · Bücher',
      'og:description': 'Seit 1899.',
      'og:image': 'http://xn--bcher-kva.test/bild-%C3%A4-300x200.png',
      'og:image:type': 'image/png',
      'og:image:width': 300,
      'og:image:height': 200,
    },
  },
  {
    at: 'entities.test/',
    like: 'entities of every spelling',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Fish &amp; chips &#x1F41F; &eacute;t&eacute; &copy; &notit; &#8364;5</title>
<meta name="description" content="&quot;Quoted&quot; &#39;twice&#39; &lt;not a tag&gt; a &amp;amp; b"></head></html>`,
    preview: {
      'og:title': 'Fish & chips 🐟 été © ¬it; €5',
      'og:description': '"Quoted" \'twice\' <not a tag> a &amp; b',
    },
  },
]
