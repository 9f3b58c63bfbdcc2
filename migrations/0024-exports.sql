-- Exports of all media of a user or a server, as archives. Whoever knows an id may have what is in it.
CREATE TABLE exports (
  export_id TEXT NOT NULL PRIMARY KEY,
  -- A user id or a server name.
  entity TEXT NOT NULL,
  task_id BIGINT NOT NULL,
  -- Says in the archive where buckets have the files.
  with_s3_urls_since BIGINT,
  created_at BIGINT NOT NULL,
  -- When the manifest was written; null: more parts come.
  finished_at BIGINT,
  -- When it is deleted; null: never.
  expires_at BIGINT,
  -- JSON: the last media that was looked at; null: none yet.
  after TEXT
);

CREATE INDEX exports_by_expiry ON exports (expires_at);

-- The files of an archive, from 1; the manifest is the last.
CREATE TABLE export_parts (
  export_id TEXT NOT NULL,
  part BIGINT NOT NULL,
  file_name TEXT NOT NULL,
  size BIGINT NOT NULL,
  sha256 TEXT NOT NULL,
  datastore TEXT NOT NULL,
  location TEXT NOT NULL,
  PRIMARY KEY (export_id, part)
);

CREATE INDEX export_parts_by_place ON export_parts (datastore, location);

-- What is in an archive, in its order, and what is not.
CREATE TABLE export_media (
  export_id TEXT NOT NULL,
  number BIGINT NOT NULL,
  part BIGINT NOT NULL,
  origin TEXT NOT NULL,
  media_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  size BIGINT NOT NULL,
  content_type TEXT NOT NULL,
  name TEXT NOT NULL,
  uploader TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  s3_url TEXT NOT NULL,
  -- Empty: it was left out.
  file_name TEXT NOT NULL,
  -- Why it was left out; empty: it was not.
  left_out TEXT NOT NULL,
  PRIMARY KEY (export_id, number)
);

CREATE INDEX export_media_by_part ON export_media (export_id, part);

-- Archives that are uploaded to be imported, until that is done.
CREATE TABLE archive_imports (
  import_id TEXT NOT NULL PRIMARY KEY,
  task_id BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  -- When the last file of it came.
  touched_at BIGINT NOT NULL,
  -- No more files come.
  closed_at BIGINT
);

CREATE TABLE archive_import_parts (
  import_id TEXT NOT NULL,
  part BIGINT NOT NULL,
  size BIGINT NOT NULL,
  sha256 TEXT NOT NULL,
  datastore TEXT NOT NULL,
  location TEXT NOT NULL,
  PRIMARY KEY (import_id, part)
);

CREATE INDEX archive_import_parts_by_place ON archive_import_parts (datastore, location);
