import type { Page } from './page.ts'

/** Newspapers and magazines. */
export const news: readonly Page[] = [
  {
    at: 'news.test/city/bridge-reopens',
    like: 'a newspaper article with all of OpenGraph',
    body: `<!DOCTYPE html>
<html lang="en" prefix="og: https://ogp.me/ns#">
<head>
  <meta charset="utf-8">
  <title>Old bridge reopens after two years | The Harbour Herald</title>
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="description" content="This text is for search engines.">
  <link rel="canonical" href="http://news.test/city/bridge-reopens">
  <link rel="icon" href="/favicon-32x32.png" sizes="32x32">
  <meta property="og:type" content="article">
  <meta property="og:site_name" content="The Harbour Herald">
  <meta property="og:title" content="Old bridge reopens after two years">
  <meta property="og:description" content="Cyclists were the first to cross on Saturday; lorries have to wait until spring.">
  <meta property="og:url" content="http://news.test/city/bridge-reopens">
  <meta property="og:image" content="http://img.test/bridge-1200x630.jpg">
  <meta property="og:image:width" content="1200">
  <meta property="og:image:height" content="630">
  <meta property="og:image:alt" content="People on a bridge">
  <meta property="article:published_time" content="2026-03-14T09:30:00Z">
  <meta property="article:author" content="Ada Quay">
  <meta property="article:section" content="City">
  <meta name="twitter:card" content="summary_large_image">
  <meta name="twitter:title" content="A bridge, at last">
  <script>window.dataLayer = [{ title: "<title>Never shown</title>" }]</script>
</head>
<body>
  <header><nav><a href="/">Home</a> <a href="/city">City</a></nav></header>
  <main><article><h1>Old bridge reopens after two years</h1><p>By Ada Quay</p><p>It was still dark when the barriers went up.</p></article></main>
  <footer>© The Harbour Herald</footer>
</body>
</html>`,
    preview: {
      'og:type': 'article',
      'og:site_name': 'The Harbour Herald',
      'og:title': 'Old bridge reopens after two years',
      'og:description': 'Cyclists were the first to cross on Saturday; lorries have to wait until spring.',
      'og:url': 'http://news.test/city/bridge-reopens',
      'og:image': 'http://img.test/bridge-1200x630.jpg',
      'og:image:type': 'image/jpeg',
      'og:image:width': 1200,
      'og:image:height': 630,
      'og:image:alt': 'People on a bridge',
      'article:published_time': '2026-03-14T09:30:00Z',
      'article:author': 'Ada Quay',
      'article:section': 'City',
    },
  },
  {
    at: 'magazine.test/2026/tides',
    like: 'a magazine that has nothing but Twitter cards',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8">
<title>The tides, explained – Magazine</title>
<meta name="twitter:card" content="summary">
<meta name="twitter:site" content="@magazine">
<meta name="twitter:creator" content="@tess">
<meta name="twitter:title" content="The tides, explained">
<meta name="twitter:description" content="Why there are two a day, and why the second is late.">
<meta name="twitter:image" content="http://img.test/tides-600x600.png">
</head><body><p>Twice a day the water comes.</p></body></html>`,
    preview: {
      'og:title': 'The tides, explained',
      'og:description': 'Why there are two a day, and why the second is late.',
      'og:image': 'http://img.test/tides-600x600.png',
      'og:image:type': 'image/png',
      'og:image:width': 600,
      'og:image:height': 600,
    },
  },
  {
    at: 'gazette.test/live/storm',
    like: 'a newspaper that says everything in JSON-LD',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Gazette</title>
<script type="application/ld+json">
{ "@context": "https://schema.org", "@graph": [
  { "@type": "Organization", "@id": "#gazette", "name": "The Gazette", "logo": "http://img.test/logo-200x60.png" },
  { "@type": "WebSite", "name": "The Gazette", "url": "http://gazette.test/" },
  { "@type": "NewsArticle",
    "headline": "Storm passes, ferries sail again",
    "description": "The last warning was lifted at noon &amp; the harbour opened.",
    "image": [{ "@type": "ImageObject", "url": "http://img.test/ferry-1024x576.jpg", "width": 1024, "height": 576 }],
    "datePublished": "2026-02-01T12:00:00+01:00",
    "author": [{ "@type": "Person", "name": "Mo Lee" }],
    "publisher": { "@id": "#gazette" } } ] }
</script></head>
<body><div id="app"><p>Please enable JavaScript to follow the live report.</p></div></body></html>`,
    preview: {
      'og:type': 'article',
      'og:site_name': 'The Gazette',
      'og:title': 'Storm passes, ferries sail again',
      'og:description': 'The last warning was lifted at noon & the harbour opened.',
      'og:image': 'http://img.test/ferry-1024x576.jpg',
      'og:image:type': 'image/jpeg',
      'og:image:width': 1024,
      'og:image:height': 576,
    },
  },
  {
    at: 'news.test/amp/city/bridge',
    like: 'an AMP page',
    body: `<!doctype html><html ⚡ lang="en"><head><meta charset="utf-8">
<script async src="https://cdn.ampproject.org/v0.js"></script>
<link rel="canonical" href="http://news.test/city/bridge-reopens">
<title>Bridge: what changes for cyclists</title>
<meta name="description" content="A lane of its own, and lights that wait.">
<style amp-boilerplate>body{-webkit-animation:none}</style>
</head><body>
<amp-img src="/amp/lane-800x450.jpg" width="800" height="450" layout="responsive" alt="A lane"></amp-img>
<h1>Bridge: what changes for cyclists</h1><p>The lane is two metres wide.</p></body></html>`,
    preview: {
      'og:title': 'Bridge: what changes for cyclists',
      'og:description': 'A lane of its own, and lights that wait.',
      'og:url': 'http://news.test/city/bridge-reopens',
      'og:image': 'http://news.test/amp/lane-800x450.jpg',
      'og:image:alt': 'A lane',
      'og:image:type': 'image/jpeg',
      'og:image:width': 800,
      'og:image:height': 450,
    },
  },
  {
    at: 'news.test/plus/investigation',
    like: 'an article behind a paywall, answered 403 with OpenGraph',
    status: 403,
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Subscribe</title>
<meta property="og:title" content="Where the harbour's money went">
<meta property="og:description" content="Six months of reading ledgers.">
<meta property="og:site_name" content="The Harbour Herald">
<meta property="og:image" content="/ledger-800x800.webp">
</head><body><h1>Please subscribe</h1><form><input name="mail"></form></body></html>`,
    preview: {
      'og:title': "Where the harbour's money went",
      'og:description': 'Six months of reading ledgers.',
      'og:site_name': 'The Harbour Herald',
      'og:image': 'http://news.test/ledger-800x800.webp',
      'og:image:type': 'image/webp',
      'og:image:width': 800,
      'og:image:height': 800,
    },
  },
  {
    at: 'blog.test/why-i-walk',
    like: 'a personal blog with a description and a picture in its text',
    body: `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Why I walk &mdash; Ben&#8217;s notes</title>
<meta name="Description" content="  A mile a day,&nbsp;and what it
 did.  "><meta name="generator" content="Static 4">
<link rel="alternate" type="application/atom+xml" href="/feed.atom"></head>
<body><nav>Home About</nav><article><h1>Why I walk</h1>
<img src="pixel-1x1.gif" width="1" height="1" alt="">
<img src="/avatar-48x48.png" width="48" height="48" alt="Ben">
<p><img src="/2026/path-900x600.jpg" width="900" height="600" alt="A path"></p>
<p>It began with a broken bicycle.</p></article></body></html>`,
    preview: {
      'og:title': 'Why I walk — Ben’s notes',
      'og:description': 'A mile a day, and what it did.',
      'og:image': 'http://blog.test/2026/path-900x600.jpg',
      'og:image:alt': 'A path',
      'og:image:type': 'image/jpeg',
      'og:image:width': 900,
      'og:image:height': 600,
    },
  },
]
