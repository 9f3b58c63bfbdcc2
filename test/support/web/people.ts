import type { Page } from './page.ts'

/** Where people talk: posts, forums, profiles, and the walls around them. */
export const people: readonly Page[] = [
  {
    at: 'social.test/@otter/1001',
    like: 'a post of a small network, emoji and all',
    body: `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Otter 🦦: "Good morning"</title>
<meta content="Tootery" property="og:site_name"><meta content="article" property="og:type">
<meta content="Otter 🦦 (@otter@social.test)" property="og:title">
<meta content="2026-05-01T06:00:00Z" property="og:published_time">
<meta content="Good morning 👩‍👩‍👧‍👦 from the river 🏞️!" property="og:description">
<meta content="http://img.test/otter-avatar-400x400.png" property="og:image">
<meta content="400" property="og:image:width"><meta content="400" property="og:image:height">
<meta content="summary" property="twitter:card"><meta content="otter@social.test" property="profile:username">
</head><body><noscript>To use this site, please enable JavaScript.</noscript><div id="root"></div></body></html>`,
    preview: {
      'og:type': 'article',
      'og:site_name': 'Tootery',
      'og:title': 'Otter 🦦 (@otter@social.test)',
      'og:description': 'Good morning 👩‍👩‍👧‍👦 from the river 🏞️!',
      'og:published_time': '2026-05-01T06:00:00Z',
      'og:image': 'http://img.test/otter-avatar-400x400.png',
      'og:image:type': 'image/png',
      'og:image:width': 400,
      'og:image:height': 400,
      'profile:username': 'otter@social.test',
    },
  },
  {
    at: 'forum.test/viewtopic.php?f=2&t=99',
    like: 'a thread of an old forum: tables, no tags, an address with a query',
    type: 'text/html',
    body: `<html><head><title>River Forum :: View topic - Which rod?</title>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8"></head>
<body bgcolor="#ffffff"><table width="100%"><tr><td><a href="index.php">Index</a></td></tr></table>
<table><tr><td><b>heron</b><br><img src="images/rank-15x15.gif" width="15" height="15"></td>
<td><p>Which rod would you take for a slow river, and why would you not take the other one that everybody else takes?</p></td></tr>
<tr><td><b>pike</b></td><td>None.</td></tr></table></body></html>`,
    preview: {
      'og:title': 'River Forum :: View topic - Which rod?',
      'og:description':
        'Which rod would you take for a slow river, and why would you not take the other one that everybody else takes?',
    },
  },
  {
    at: 'board.test/t/introduce-yourself/12',
    like: 'a thread of a new forum, with the first posts in noscript',
    body: `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Introduce yourself - General - Board</title>
<meta name="description" content="Say hello, and where you swim.">
<meta property="og:site_name" content="Board"><meta property="og:type" content="website">
<meta name="twitter:image" content="http://img.test/board-500x261.png"><meta property="og:image" content="http://img.test/board-500x261.png">
<meta property="og:title" content="Introduce yourself"><meta property="og:description" content="Say hello, and where you swim.">
<meta property="og:article:section" content="General"><meta name="twitter:label1" value="Reading time"><meta name="twitter:data1" value="1 min">
</head><body><noscript><div itemprop="text">Hello.</div></noscript></body></html>`,
    preview: {
      'og:type': 'website',
      'og:site_name': 'Board',
      'og:title': 'Introduce yourself',
      'og:description': 'Say hello, and where you swim.',
      'og:article:section': 'General',
      'og:image': 'http://img.test/board-500x261.png',
      'og:image:type': 'image/png',
      'og:image:width': 500,
      'og:image:height': 261,
    },
  },
  {
    at: 'wall.test/p/abc',
    like: 'a login wall, 401, that tells bots what is behind it',
    status: 401,
    headers: { 'www-authenticate': 'Cookie' },
    body: `<!doctype html><html><head><meta charset="utf-8"><title>Log in</title>
<meta property="og:title" content="A photo by Heron"><meta property="og:description" content="12 likes, 3 comments">
<meta property="og:image" content="http://img.test/heron-640x640.jpg"></head><body>Log in to see more</body></html>`,
    preview: {
      'og:title': 'A photo by Heron',
      'og:description': '12 likes, 3 comments',
      'og:image': 'http://img.test/heron-640x640.jpg',
      'og:image:type': 'image/jpeg',
      'og:image:width': 640,
      'og:image:height': 640,
    },
  },
  {
    at: 'consent.test/article',
    like: 'a consent page in front of an article that has its tags all the same',
    body: `<!doctype html><html lang="de"><head><meta charset="utf-8"><title>Zustimmung</title>
<meta name="robots" content="noindex"><meta property="og:title" content="Der Fluss im Winter">
<meta property="og:description" content="Was unter dem Eis geschieht.">
<meta property="og:locale" content="de_DE"></head>
<body><div class="consent" role="dialog"><p>Wir und unsere 842 Partner brauchen Ihre Zustimmung.</p><button>Alle akzeptieren</button></div></body></html>`,
    preview: {
      'og:title': 'Der Fluss im Winter',
      'og:description': 'Was unter dem Eis geschieht.',
      'og:locale': 'de_DE',
    },
  },
  {
    at: 'app.test/',
    asked: 'app.test/#/board/3',
    like: 'an application with an empty body, a title and an icon',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"/><link rel="icon" href="/icon-192x192.png"/>
<meta name="theme-color" content="#000000"/><title>Boards</title><script defer src="/main.js"></script></head>
<body><noscript>You need to enable JavaScript to run this app.</noscript><div id="root"></div>
<script>document.title = "Changed by a script"</script></body></html>`,
    preview: {
      'og:title': 'Boards',
      'og:image': 'http://app.test/icon-192x192.png',
      'og:image:type': 'image/png',
      'og:image:width': 192,
      'og:image:height': 192,
    },
  },
]
