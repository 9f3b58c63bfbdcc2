import { readFile } from 'node:fs/promises'
import { noise } from '../images.ts'
import { film, pdfOf, recording } from '../films.ts'
import { temporaryFolder } from '../folder.ts'
import { drawPicture } from './pictures.ts'
import { MADE_HERE, type Page } from './page.ts'

/** Files by themselves, what is to be watched and listened to, and feeds. Films and recordings need ffmpeg. */
export const files: readonly Page[] = [
  {
    at: 'video.test/watch?v=dQw4',
    like: 'a video on a video site',
    headers: { link: '<http://video.test/oembed?url=x>; rel="alternate"; type="text/xml+oembed"' },
    body: `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Otter slides - VideoTube</title>
<link rel="shortcut icon" href="/favicon-32x32.ico"><meta property="og:site_name" content="VideoTube"><meta property="og:url" content="http://video.test/watch?v=dQw4">
<meta property="og:title" content="Otter slides"><meta property="og:description" content="An otter slides down a bank."><meta property="og:type" content="video.other">
<meta property="og:image" content="http://img.test/vi/dQw4/max-1280x720.jpg"><meta property="og:image:width" content="1280"><meta property="og:image:height" content="720">
<meta property="og:video:url" content="http://video.test/embed/dQw4"><meta property="og:video:type" content="text/html">
<meta property="og:video:width" content="1280"><meta property="og:video:height" content="720"></head><body><div id="player"></div></body></html>`,
    preview: {
      'og:type': 'video.other',
      'og:site_name': 'VideoTube',
      'og:title': 'Otter slides',
      'og:description': 'An otter slides down a bank.',
      'og:url': 'http://video.test/watch?v=dQw4',
      'og:video': 'http://video.test/embed/dQw4',
      'og:video:type': 'text/html',
      'og:video:width': 1280,
      'og:video:height': 720,
      'og:image': 'http://img.test/vi/dQw4/max-1280x720.jpg',
      'og:image:type': 'image/jpeg',
      'og:image:width': 1280,
      'og:image:height': 720,
    },
  },
  {
    at: 'clips.test/v/9',
    like: 'a video site that says what it has by oEmbed only',
    body: `<!doctype html><html><head><meta charset="utf-8"><title>Clips</title>
<link rel="alternate" type="application/json+oembed" href="http://clips.test/oembed?url=v9&amp;format=json" title="Heron lands"></head><body></body></html>`,
    preview: {
      'og:type': 'video.other',
      'og:site_name': 'Clips & Co',
      'og:title': 'Clips',
      'og:video': 'http://clips.test/embed/9',
      'og:video:type': 'text/html',
      'og:video:width': 480,
      'og:video:height': 270,
      'og:image': 'http://img.test/heron-lands-480x270.jpg',
      'og:image:type': 'image/jpeg',
      'og:image:width': 480,
      'og:image:height': 270,
    },
  },
  {
    at: 'clips.test/oembed?url=v9&format=json',
    like: 'the oEmbed answer to that',
    type: 'application/json',
    body: JSON.stringify({
      version: '1.0',
      type: 'video',
      title: 'Heron lands',
      author_name: 'Reed',
      provider_name: 'Clips & Co',
      provider_url: 'http://clips.test/',
      thumbnail_url: 'http://img.test/heron-lands-480x270.jpg',
      thumbnail_width: 480,
      thumbnail_height: 270,
      width: 480,
      height: 270,
      html: '<iframe src="http://clips.test/embed/9"></iframe>',
    }),
  },
  {
    at: 'podcast.test/episodes/12',
    like: 'an episode of a podcast',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>12: The weir</title>
<meta property="og:type" content="music.song"><meta property="og:title" content="12: The weir"><meta property="og:description" content="What water does at night.">
<meta property="og:audio" content="http://podcast.test/12.mp3"><meta property="og:audio:type" content="audio/mpeg">
<meta property="og:image" content="http://img.test/cover-1400x1400.png"></head><body></body></html>`,
    preview: {
      'og:type': 'music.song',
      'og:title': '12: The weir',
      'og:description': 'What water does at night.',
      'og:audio': 'http://podcast.test/12.mp3',
      'og:audio:type': 'audio/mpeg',
      'og:image': 'http://img.test/cover-1400x1400.png',
      'og:image:type': 'image/png',
      'og:image:width': 1400,
      'og:image:height': 1400,
    },
  },
  {
    at: 'files.test/holiday/beach-photo',
    like: 'a picture by itself',
    type: 'image/jpeg',
    headers: { 'content-disposition': 'inline; filename="beach photo.jpg"' },
    body: () => pictureOf('/beach-1024x768.jpg'),
    preview: {
      'og:type': 'image',
      'og:title': 'beach photo.jpg',
      'og:image': 'http://files.test/holiday/beach-photo',
      'og:image:type': 'image/jpeg',
      'og:image:width': 1024,
      'og:image:height': 768,
    },
  },
  {
    at: 'files.test/huge.png',
    like: 'a picture of more bytes than a page may have',
    type: 'image/png',
    body: () => noise({ width: 2100, height: 2100 }).png({ compressionLevel: 0 }).toBuffer(),
    // Half a picture is none.
    preview: { 'og:type': 'image', 'og:title': 'huge.png' },
  },
  {
    at: 'files.test/playlist.mp4',
    like: 'a playlist that is called a film, and names a piece of it',
    type: 'video/mp4',
    body: '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://files.test/piece.ts\n#EXT-X-ENDLIST\n',
    // What its bytes are is text.
    preview: {
      'og:title': 'playlist.mp4',
      'og:description': '#EXTM3U #EXT-X-TARGETDURATION:9 #EXTINF:9, http://files.test/piece.ts #EXT-X-ENDLIST',
    },
  },
  {
    at: 'files.test/drawn.svg',
    like: 'a drawing (SVG)',
    type: 'image/svg+xml',
    body: () => pictureOf('/drawn-300x150.svg'),
    // Not decoded, unless `thumbnails.types` has it.
    preview: { 'og:type': 'image', 'og:title': 'drawn.svg' },
  },
  {
    at: 'files.test/film.mp4',
    like: 'a film',
    type: 'video/mp4',
    body: () => madeIn((folder) => film(folder, 'film.mp4')),
    preview: {
      'og:type': 'video.other',
      'og:title': 'film.mp4',
      'og:video': 'http://files.test/film.mp4',
      'og:video:type': 'video/mp4',
      'og:video:width': 160,
      'og:video:height': 120,
      'og:image': MADE_HERE,
      'og:image:type': 'image/jpeg',
      'og:image:width': 160,
      'og:image:height': 120,
    },
  },
  {
    at: 'files.test/recording.mp3',
    like: 'a recording',
    type: 'audio/mpeg',
    body: () => madeIn((folder) => recording(folder, 'recording.mp3', ['-metadata', 'title=Two seconds'])),
    preview: {
      'og:type': 'music.song',
      'og:title': 'recording.mp3',
      'og:audio': 'http://files.test/recording.mp3',
      'og:audio:type': 'audio/mpeg',
      'og:image': MADE_HERE,
      'og:image:type': 'image/png',
      'og:image:width': 800,
      'og:image:height': 600,
    },
  },
  {
    at: 'files.test/papers/report.pdf',
    like: 'a PDF file',
    type: 'application/pdf',
    body: async () => pdfOf([{ width: 300, height: 400, colour: '0 0 1' }]),
    preview: {
      'og:title': 'report.pdf',
      'og:image': MADE_HERE,
      'og:image:type': 'image/png',
      'og:image:width': 450,
      'og:image:height': 600,
    },
  },
  {
    at: 'files.test/archive.zip',
    like: 'an archive, of which there is nothing to be shown',
    type: 'application/zip',
    body: async () => Buffer.from('504b0506000000000000000000000000000000000000', 'hex'),
    preview: {},
  },
  {
    at: 'blog.test/feed.atom',
    like: 'a feed (Atom)',
    type: 'application/atom+xml; charset=utf-8',
    body: `<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Ben’s notes</title><subtitle>Of walks &amp; water.</subtitle><link href="http://blog.test/"/>
<id>urn:uuid:1</id><updated>2026-01-01T00:00:00Z</updated><logo>http://img.test/ben-120x120.png</logo>
<entry><title>Why I walk</title><id>urn:uuid:2</id><updated>2026-01-01T00:00:00Z</updated><summary>A mile a day.</summary></entry></feed>`,
    preview: {
      'og:title': 'Ben’s notes',
      'og:description': 'Of walks & water.',
      'og:image': 'http://img.test/ben-120x120.png',
      'og:image:type': 'image/png',
      'og:image:width': 120,
      'og:image:height': 120,
    },
  },
  {
    at: 'podcast.test/rss',
    like: 'a feed (RSS) of a podcast',
    type: 'application/rss+xml',
    body: `<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"><channel>
<title>Weirs</title><link>http://podcast.test/</link><description>Water, every week.</description><itunes:image href="http://img.test/cover-1400x1400.png"/>
<item><title>12: The weir</title></item></channel></rss>`,
    preview: {
      'og:title': 'Weirs',
      'og:description': 'Water, every week.',
      'og:image': 'http://img.test/cover-1400x1400.png',
      'og:image:type': 'image/png',
      'og:image:width': 1400,
      'og:image:height': 1400,
    },
  },
]

async function pictureOf(path: string): Promise<Buffer> {
  const drawn = await drawPicture(path)
  if (!drawn) throw new Error(`${path} names no picture`)
  return drawn.bytes
}

const made = new Map<string, Promise<Buffer>>()

/** Made at the first request and kept: it must be the same bytes for everybody who asks. */
function madeIn(make: (folder: string) => Promise<string>): Promise<Buffer> {
  const key = make.toString()
  const known = made.get(key)
  if (known) return known
  const making = makeIn(make)
  made.set(key, making)
  return making
}

async function makeIn(make: (folder: string) => Promise<string>): Promise<Buffer> {
  await using folder = await temporaryFolder()
  return await readFile(await make(folder.path))
}
