-- What is stored, once. `location` is the datastore's own word for where: never parsed outside it.
CREATE TABLE objects (
  sha256 TEXT NOT NULL PRIMARY KEY,
  size BIGINT NOT NULL,
  datastore TEXT NOT NULL,
  location TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (datastore, location)
);

-- What it is called. Many names may share one object. All times are milliseconds since 1970.
CREATE TABLE media (
  origin TEXT NOT NULL,
  media_id TEXT NOT NULL,
  sha256 TEXT NOT NULL REFERENCES objects (sha256),
  kind TEXT NOT NULL,
  content_type TEXT NOT NULL,
  upload_name TEXT,
  uploader TEXT,
  created_at BIGINT NOT NULL,
  accessed_at BIGINT,
  authenticated_at BIGINT,
  quarantined_at BIGINT,
  PRIMARY KEY (origin, media_id)
);

CREATE INDEX media_by_content ON media (sha256, uploader);

CREATE INDEX media_by_uploader ON media (uploader, created_at);

-- Thumbnails hang on the content they were made of, so that all its names share them.
CREATE TABLE thumbnails (
  source_sha256 TEXT NOT NULL REFERENCES objects (sha256),
  width BIGINT NOT NULL,
  height BIGINT NOT NULL,
  method TEXT NOT NULL,
  variant TEXT NOT NULL,
  sha256 TEXT NOT NULL REFERENCES objects (sha256),
  content_type TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  accessed_at BIGINT,
  PRIMARY KEY (source_sha256, width, height, method, variant)
);

CREATE INDEX thumbnails_by_content ON thumbnails (sha256);

-- Media ids handed out by `create` whose content has not come yet.
CREATE TABLE pending_media (
  origin TEXT NOT NULL,
  media_id TEXT NOT NULL,
  uploader TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (origin, media_id)
);

CREATE INDEX pending_media_by_uploader ON pending_media (uploader, expires_at);

-- Bytes and files of a user, a server or a datastore: a total, and the differences not folded into it yet. Uploads only
-- add differences, so that no row is written by everybody.
CREATE TABLE usage_totals (
  subject TEXT NOT NULL PRIMARY KEY,
  bytes BIGINT NOT NULL,
  files BIGINT NOT NULL
);

CREATE TABLE usage_changes (
  subject TEXT NOT NULL,
  change_id TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  files BIGINT NOT NULL,
  PRIMARY KEY (subject, change_id)
);
