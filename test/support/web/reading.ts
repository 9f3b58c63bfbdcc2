import { noise } from '../images.ts'
import { MADE_HERE, type Page } from './page.ts'

/** Pages to read, which leave it to others to find out what they are about: most of the web. */
export const reading: readonly Page[] = [
  {
    at: 'wiki.test/wiki/Otter',
    like: 'an article of an encyclopaedia',
    body: `<!DOCTYPE html>
<html class="client-nojs" lang="en" dir="ltr"><head><meta charset="UTF-8"><title>Otter - Wiki</title>
<meta property="og:image" content="http://img.test/1200px-Otter-1200x800.jpg"><meta property="og:image:width" content="1200"><meta property="og:image:height" content="800">
<meta property="og:title" content="Otter - Wiki"><meta property="og:type" content="website">
<link rel="canonical" href="http://wiki.test/wiki/Otter"></head>
<body class="mediawiki ltr"><div id="mw-navigation" role="navigation"><h2>Navigation menu</h2></div>
<h1 id="firstHeading">Otter</h1><div role="note" class="hatnote">For other uses, see Otter (disambiguation).</div>
<table class="infobox"><tr><th>Kingdom:</th><td>Animalia</td></tr></table>
<p><b>Otters</b> are carnivorous mammals in the subfamily <a href="/wiki/Lutrinae">Lutrinae</a>.<sup id="cite_ref-1" class="reference"><a href="#cite_note-1">[1]</a></sup> They live in and near water, and are known for their playful behaviour and for holding hands.</p>
<footer>Text is available under a licence.</footer></body></html>`,
    preview: {
      'og:type': 'website',
      'og:title': 'Otter - Wiki',
      'og:url': 'http://wiki.test/wiki/Otter',
      'og:description':
        'Otters are carnivorous mammals in the subfamily Lutrinae. They live in and near water, and are known for their playful behaviour and for holding hands.',
      'og:image': 'http://img.test/1200px-Otter-1200x800.jpg',
      'og:image:type': 'image/jpeg',
      'og:image:width': 1200,
      'og:image:height': 800,
    },
  },
  {
    at: 'council.test/notices/2026-17.htm',
    like: 'a notice of a council: no tags, not even a title, and elements that nobody closes',
    type: 'text/html; charset=iso-8859-1',
    body: `<HTML><BODY BGCOLOR=white><CENTER><H1>Notice 17 of 2026</H1></CENTER><HR>
<P>The footpath along the mill stream is closed from Monday to Friday while the railing is mended.
<P>Walkers are asked to use the other bank.<BR><FONT SIZE=1>The clerk</FONT></BODY></HTML>`,
    preview: {
      'og:title': 'Notice 17 of 2026',
      'og:description':
        'The footpath along the mill stream is closed from Monday to Friday while the railing is mended. Walkers are asked to use the other bank. The clerk',
    },
  },
  {
    at: 'gallery.test/lazy',
    like: 'pictures that come when they are scrolled to',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Nets of the coast</title>
<meta name="description" content="Forty photographs."></head><body>
<img class="lazy" src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7" data-src="/nets-960x640.jpg" width="960" height="640" alt="Nets">
<img class="lazy" src="/blank-1x1.gif" data-src="/second-400x300.jpg" width="400" height="300" alt="Another"></body></html>`,
    preview: {
      'og:title': 'Nets of the coast',
      'og:description': 'Forty photographs.',
      'og:image': 'http://gallery.test/nets-960x640.jpg',
      'og:image:alt': 'Nets',
      'og:image:type': 'image/jpeg',
      'og:image:width': 960,
      'og:image:height': 640,
    },
  },
  {
    at: 'gallery.test/responsive',
    like: 'pictures in several sizes (srcset), inside picture elements',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Harbours</title>
<meta name="description" content="Seen from above."></head><body><main>
<picture><source type="image/webp" srcset="/harbour-400x300.webp 400w, /harbour-1600x1200.webp 1600w">
<img srcset="/harbour-400x300.jpg 400w, /harbour-1200x900.jpg 1200w" sizes="100vw" alt="A harbour"></picture></main></body></html>`,
    preview: {
      'og:title': 'Harbours',
      'og:description': 'Seen from above.',
      'og:image': 'http://gallery.test/harbour-1200x900.jpg',
      'og:image:alt': 'A harbour',
      'og:image:type': 'image/jpeg',
      'og:image:width': 1200,
      'og:image:height': 900,
    },
  },
  {
    at: 'based.test/deep/below/page',
    like: 'a page whose <base> says where its pictures are',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><base href="http://img.test/base/"><title>Based</title>
<meta name="description" content="The picture is elsewhere."><meta property="og:image" content="cover-640x480.png"></head><body></body></html>`,
    preview: {
      'og:title': 'Based',
      'og:description': 'The picture is elsewhere.',
      'og:image': 'http://img.test/base/cover-640x480.png',
      'og:image:type': 'image/png',
      'og:image:width': 640,
      'og:image:height': 480,
    },
  },
  {
    at: 'strict.test/index.xhtml',
    like: 'XHTML with its XML declaration',
    type: 'application/xhtml+xml; charset=utf-8',
    body: `<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en"><head><title>Strictly speaking</title>
<script type="text/javascript" src="x.js" /><meta name="description" content="Closed, all of it." /></head>
<body><h1>Strict</h1><div /><p>Text after an empty element.</p></body></html>`,
    preview: { 'og:title': 'Strictly speaking', 'og:description': 'Closed, all of it.' },
  },
  {
    at: 'inline.test/picture',
    like: 'a page whose picture stands in it (data:)',
    body: inlinePage,
    preview: {
      'og:title': 'Inline',
      'og:description': 'Nothing else to fetch.',
      'og:image': MADE_HERE,
      'og:image:alt': 'Blue',
      'og:image:type': 'image/png',
      'og:image:width': 320,
      'og:image:height': 200,
    },
  },
  {
    at: 'noise.test/comments',
    like: 'a page with comments, scripts, templates and hidden text around its text',
    body: `<!doctype html><!-- <title>No</title> --><html lang="en"><head><meta charset="utf-8"><title>Quiet</title></head><body>
<!-- a comment <p>with text</p> --><script>document.write("<p>written by a script</p>")</script>
<template><p>In a template.</p></template><svg><title>In a drawing</title><text>drawn</text></svg><noscript>Without scripts.</noscript>
<p>The only sentence that people see on this page, which is long enough to stand for what it is about.</p>
<textarea>typed</textarea><button>Press</button></body></html>`,
    preview: {
      'og:title': 'Quiet',
      'og:description':
        'The only sentence that people see on this page, which is long enough to stand for what it is about.',
    },
  },
  {
    at: 'sections.test/',
    like: 'a page with the title in a heading, and an empty title element and description',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title> </title><meta name="description" content="">
<meta property="og:title" content=""><meta property="og:description" content="  "></head>
<body><h1></h1><h2>Second, but not empty</h2><p>There is a first heading on this page, and there is nothing in it for anybody to read.</p></body></html>`,
    preview: {
      'og:title': 'Second, but not empty',
      'og:description': 'There is a first heading on this page, and there is nothing in it for anybody to read.',
    },
  },
  {
    at: 'broken.test/soup',
    like: 'a page whose markup is broken off and crosses over',
    body: `<html><head><title>Soup</title ></head><meta property="og:title" content="Tag soup"><body><p><b><i>Bold</b> italic</i>
<a href="<img src=x>">link<p class=a" class=b>The text of a paragraph that goes on and on.</p><table><p>In a table</table><meta property="og:description" content="In the body, all the same."><di`,
    preview: { 'og:title': 'Tag soup', 'og:description': 'In the body, all the same.' },
  },
]

async function inlinePage(): Promise<Buffer> {
  const picture = await noise({ width: 320, height: 200 }).resize(40).resize(320, 200).png().toBuffer()
  return Buffer.from(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Inline</title><meta name="description" content="Nothing else to fetch.">
</head><body><img width="320" height="200" alt="Blue" src="data:image/png;base64,${picture.toString('base64')}"></body></html>`)
}
