import type { Page } from './page.ts'

/** Where programs are made and talked about. */
export const code: readonly Page[] = [
  {
    at: 'forge.test/otter/raft',
    like: 'a repository of a code forge',
    body: `<!DOCTYPE html><html lang="en" data-color-mode="auto"><head><meta charset="utf-8">
<title>GitForge - otter/raft: A raft that floats</title>
<meta name="description" content="A raft that floats. Contribute to otter/raft development by creating an account.">
<meta property="og:image" content="http://img.test/otter-raft-1200x600.png"><meta property="og:image:alt" content="A raft that floats">
<meta property="og:image:width" content="1200"><meta property="og:image:height" content="600">
<meta property="og:site_name" content="GitForge"><meta property="og:type" content="object">
<meta property="og:title" content="GitForge - otter/raft: A raft that floats">
<meta property="og:url" content="http://forge.test/otter/raft">
<meta property="og:description" content="A raft that floats. Contribute to otter/raft development by creating an account.">
</head><body><h1>otter/raft</h1><table><tr><td>src</td><td>2 days ago</td></tr></table></body></html>`,
    preview: {
      'og:type': 'object',
      'og:site_name': 'GitForge',
      'og:title': 'GitForge - otter/raft: A raft that floats',
      'og:description': 'A raft that floats. Contribute to otter/raft development by creating an account.',
      'og:url': 'http://forge.test/otter/raft',
      'og:image': 'http://img.test/otter-raft-1200x600.png',
      'og:image:alt': 'A raft that floats',
      'og:image:type': 'image/png',
      'og:image:width': 1200,
      'og:image:height': 600,
    },
  },
  {
    at: 'forge.test/otter/raft/issues/7',
    like: 'an issue of a code forge, its text full of markup and odd spaces',
    body: `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<title>Sinks when &lt;b&gt; is used · Issue #7 · otter/raft</title>
<meta property="og:title" content="Sinks when &lt;b&gt; is used · Issue #7 · otter/raft">
<meta property="og:description" content="Steps:

1. Build with \`make\`
2. Put it on	water

It sinks &amp; stays there.">
<meta property="og:type" content="object"><meta property="og:site_name" content="GitForge">
<meta property="og:image" content="http://img.test/issue-7-1200x600.png">
</head><body><h1>Sinks</h1></body></html>`,
    preview: {
      'og:type': 'object',
      'og:site_name': 'GitForge',
      'og:title': 'Sinks when <b> is used · Issue #7 · otter/raft',
      'og:description': 'Steps: 1. Build with `make` 2. Put it on water It sinks & stays there.',
      'og:image': 'http://img.test/issue-7-1200x600.png',
      'og:image:type': 'image/png',
      'og:image:width': 1200,
      'og:image:height': 600,
    },
  },
  {
    at: 'forge.test/otter/raft/commit/0a1b2c3',
    like: 'a commit of a plain forge without any tags',
    body: `<!DOCTYPE html><html><head><title>raft.git - commit 0a1b2c3</title><link rel="icon" href="/static/logo-64x64.png">
<style>pre { color: red }</style></head><body>
<div role="navigation">summary log tree</div>
<table class="commit"><tr><th>author</th><td>Otter</td></tr></table>
<div class="message">Make the raft wider.</div>
<p>It tipped over when two otters sat on one side of it, which is where otters sit.</p></body></html>`,
    preview: {
      'og:title': 'raft.git - commit 0a1b2c3',
      'og:description': 'It tipped over when two otters sat on one side of it, which is where otters sit.',
      'og:image': 'http://forge.test/static/logo-64x64.png',
      'og:image:type': 'image/png',
      'og:image:width': 64,
      'og:image:height': 64,
    },
  },
  {
    at: 'answers.test/questions/42/how-do-otters-sleep',
    like: 'a question with answers, in microdata',
    body: `<!DOCTYPE html><html itemscope itemtype="https://schema.org/QAPage" lang="en"><head><meta charset="utf-8">
<title>biology - How do otters sleep? - Answers</title>
<meta name="twitter:card" content="summary"><meta name="twitter:domain" content="answers.test">
<meta name="twitter:title" property="og:title" itemprop="name" content="How do otters sleep?">
<meta name="twitter:description" property="og:description" itemprop="description" content="I have seen them hold hands. Is that so that they do not drift apart?">
<meta property="og:type" content="website"><meta property="og:url" content="http://answers.test/questions/42/how-do-otters-sleep">
<meta property="og:site_name" content="Answers">
<meta property="og:image" itemprop="image primaryImageOfPage" content="http://img.test/answers-316x316.png">
</head><body><h1>How do otters sleep?</h1><div itemprop="text"><p>I have seen them hold hands.</p></div></body></html>`,
    preview: {
      'og:type': 'website',
      'og:site_name': 'Answers',
      'og:title': 'How do otters sleep?',
      'og:description': 'I have seen them hold hands. Is that so that they do not drift apart?',
      'og:url': 'http://answers.test/questions/42/how-do-otters-sleep',
      'og:image': 'http://img.test/answers-316x316.png',
      'og:image:type': 'image/png',
      'og:image:width': 316,
      'og:image:height': 316,
    },
  },
  {
    at: 'docs.test/raft/stable/install.html',
    like: 'a page of documentation with much navigation and no tags',
    body: `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Installation &#8212; raft 2.1 documentation</title>
<link rel="stylesheet" href="../_static/basic.css"></head><body>
<div class="related" role="navigation"><h3>Navigation</h3><ul><li>index</li><li>next</li></ul></div>
<nav class="sidebar"><p>Quick search</p><ul><li><a href="#">Installation</a></li></ul></nav>
<main role="main"><h1>Installation<a class="headerlink" href="#installation">¶</a></h1>
<p>Raft needs water and at least one otter. Install both before you go on with the next step.</p>
<pre>raft install --otters 2</pre></main>
<footer>© Otters. Built with Docs 7.</footer></body></html>`,
    preview: {
      'og:title': 'Installation — raft 2.1 documentation',
      'og:description': 'Raft needs water and at least one otter. Install both before you go on with the next step.',
    },
  },
  {
    at: 'paste.test/raw/x7',
    like: 'a paste, as plain text',
    type: 'text/plain; charset=utf-8',
    body: 'raft: cannot float\n  at river.c:12\n',
    preview: { 'og:title': 'x7', 'og:description': 'raft: cannot float at river.c:12' },
  },
  {
    at: 'packages.test/p/raft',
    like: 'a package of a registry, its description over three lines of one tag',
    body: `<!DOCTYPE html><html lang="en"><head><title>raft - packages</title>
<meta data-react-helmet="true" property="og:description" content="Floats.
Start using raft in your project
by running install raft."/>
<meta property='og:title' content='raft'/><meta property=og:site_name content=packages>
<meta property="og:image" content="//img.test/packages-256x256.webp"/>
</head><body></body></html>`,
    preview: {
      'og:site_name': 'packages',
      'og:title': 'raft',
      'og:description': 'Floats. Start using raft in your project by running install raft.',
      'og:image': 'http://img.test/packages-256x256.webp',
      'og:image:type': 'image/webp',
      'og:image:width': 256,
      'og:image:height': 256,
    },
  },
]
