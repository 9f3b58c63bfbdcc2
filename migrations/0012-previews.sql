-- What pages looked like to one homeserver, in one language, in one hour. All times are milliseconds since 1970.
CREATE TABLE previews (
  homeserver TEXT NOT NULL,
  -- SHA-256 of the address, which may be too long for an index.
  url_hash TEXT NOT NULL,
  language TEXT NOT NULL,
  -- When the hour began.
  hour BIGINT NOT NULL,
  url TEXT NOT NULL,
  -- The labels of the host the other way round (`org.example.www.`): a domain and all below it are one stretch of the index.
  site TEXT NOT NULL,
  -- JSON, without what depends on the picture; null: there is none, for the reason that `error` says in JSON.
  answer TEXT,
  error TEXT,
  -- What found it out.
  previewer TEXT,
  -- The media id of its picture, under the homeserver's name.
  picture TEXT,
  created_at BIGINT NOT NULL,
  -- Until when it is answered without another look.
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (homeserver, url_hash, language, hour)
);

CREATE INDEX previews_by_url ON previews (url_hash);

CREATE INDEX previews_by_site ON previews (site);

CREATE INDEX previews_by_age ON previews (created_at);

CREATE INDEX previews_by_picture ON previews (picture) WHERE picture IS NOT NULL;

CREATE INDEX previews_failed ON previews (expires_at) WHERE answer IS NULL;
