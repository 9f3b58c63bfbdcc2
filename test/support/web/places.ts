import type { Page } from './page.ts'

/** Shops, kitchens, weather and the map. */
export const places: readonly Page[] = [
  {
    at: 'shop.test/product/rubber-boots',
    like: 'a product of a shop, in JSON-LD',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Buy rubber boots online | Shop</title>
<script type="application/ld+json">[{"@context":"https://schema.org/","@type":"BreadcrumbList","itemListElement":[]},
{"@context":"https://schema.org/","@type":"Product","name":"Rubber boots \\u201cPuddle\\u201d","image":["/boots-front-700x700.jpg","/boots-side-700x700.jpg"],
"description":"Dry feet up to 30 cm.","sku":"RB-30","brand":{"@type":"Brand","name":"Puddle"},
"offers":{"@type":"Offer","price":"29.90","priceCurrency":"EUR","availability":"https://schema.org/InStock"}}]</script>
</head><body><div class="cart">0 items</div><h1>Rubber boots</h1></body></html>`,
    preview: {
      'og:type': 'product',
      'og:title': 'Rubber boots “Puddle”',
      'og:description': 'Dry feet up to 30 cm.',
      'og:image': 'http://shop.test/boots-front-700x700.jpg',
      'og:image:type': 'image/jpeg',
      'og:image:width': 700,
      'og:image:height': 700,
    },
  },
  {
    at: 'market.test/dp/B01',
    like: 'a shop that tells OpenGraph what things cost',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Net, 2 m: market.test</title>
<meta property="og:type" content="product"><meta property="og:title" content="Net, 2 m"><meta property="og:site_name" content="Market">
<meta property="og:description" content="A net for small fish."><meta property="og:price:amount" content="12.50"><meta property="og:price:currency" content="EUR">
<meta property="og:image" content=""><meta property="og:image" content="http://img.test/net-500x500.jpg">
</head><body></body></html>`,
    preview: {
      'og:type': 'product',
      'og:site_name': 'Market',
      'og:title': 'Net, 2 m',
      'og:description': 'A net for small fish.',
      'og:price:amount': '12.50',
      'og:price:currency': 'EUR',
      'og:image': 'http://img.test/net-500x500.jpg',
      'og:image:type': 'image/jpeg',
      'og:image:width': 500,
      'og:image:height': 500,
    },
  },
  {
    at: 'kitchen.test/fish-soup',
    like: 'a recipe, in JSON-LD that begins with a comment mark',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Fish soup - Kitchen</title>
<script type="application/ld+json">
//<![CDATA[
{"@context":"http://schema.org","@type":["Recipe"],"name":"Fish soup","image":{"@type":"ImageObject","contentUrl":"http://img.test/soup-800x600.jpg"},
"description":"Ready in half an hour.","totalTime":"PT30M"}
//]]>
</script></head><body><h1>Fish soup</h1></body></html>`,
    preview: {
      'og:title': 'Fish soup',
      'og:description': 'Ready in half an hour.',
      'og:image': 'http://img.test/soup-800x600.jpg',
      'og:image:type': 'image/jpeg',
      'og:image:width': 800,
      'og:image:height': 600,
    },
  },
  {
    at: 'events.test/e/regatta',
    like: 'an event whose JSON-LD is broken, with OpenGraph beside it',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Regatta</title>
<script type="application/ld+json">{"@type":"Event","name":"Regatta",</script>
<meta property="og:title" content="Regatta, 4 July"><meta property="og:type" content="event">
<meta property="og:latitude" content="53.55"><meta property="og:longitude" content="9.99">
<meta property="og:description" content="Forty boats.">
<meta property="og:image:secure_url" content="http://img.test/regatta-1000x500.jpg">
<meta property="og:image:url" content="http://img.test/regatta-1000x500.jpg"></head><body></body></html>`,
    preview: {
      'og:type': 'event',
      'og:title': 'Regatta, 4 July',
      'og:description': 'Forty boats.',
      'og:latitude': '53.55',
      'og:longitude': '9.99',
      'og:image': 'http://img.test/regatta-1000x500.jpg',
      'og:image:type': 'image/jpeg',
      'og:image:width': 1000,
      'og:image:height': 500,
    },
  },
  {
    at: 'map.test/?mlat=53.5&mlon=9.9',
    asked: 'map.test/?mlat=53.5&mlon=9.9#map=12/53.5/9.9',
    like: 'a map, asked for with a fragment, which no server is sent',
    body: `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>OpenRiverMap</title>
<meta property="og:site_name" content="OpenRiverMap"><meta property="og:title" content="OpenRiverMap">
<meta property="og:type" content="website"><meta property="og:url" content="http://map.test/?mlat=53.5&amp;mlon=9.9">
<meta property="og:description" content="A map of rivers that everybody can edit.">
<meta property="og:image" content="http://img.test/map%20tile-256x256.png"></head><body><div id="map"></div></body></html>`,
    preview: {
      'og:type': 'website',
      'og:site_name': 'OpenRiverMap',
      'og:title': 'OpenRiverMap',
      'og:description': 'A map of rivers that everybody can edit.',
      'og:url': 'http://map.test/?mlat=53.5&mlon=9.9',
      'og:image': 'http://img.test/map%20tile-256x256.png',
      'og:image:type': 'image/png',
      'og:image:width': 256,
      'og:image:height': 256,
    },
  },
  {
    at: 'weather.test/hamburg',
    like: 'a weather page with more advertising than weather',
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Weather in Hamburg: rain</title></head><body>
<header>Weather <nav>Europe Asia</nav></header><aside>Buy umbrellas now, cheaper than ever</aside>
<script>var temperature = 12;</script><style>.rain{}</style>
<main><h1>Hamburg</h1><p>Rain until the evening, then more rain. Wind from the west at 30 km/h, with gusts on the coast.</p></main>
<iframe src="http://ads.test/">Advertisement</iframe><footer>Imprint</footer></body></html>`,
    preview: {
      'og:title': 'Weather in Hamburg: rain',
      'og:description':
        'Rain until the evening, then more rain. Wind from the west at 30 km/h, with gusts on the coast.',
    },
  },
]
