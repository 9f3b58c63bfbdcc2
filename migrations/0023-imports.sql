-- What an import of media from elsewhere could not take, until a later run does. `source` says which: `synapse example.org`.
CREATE TABLE import_problems (
  source TEXT NOT NULL,
  origin TEXT NOT NULL,
  media_id TEXT NOT NULL,
  problem TEXT NOT NULL,
  details TEXT NOT NULL,
  PRIMARY KEY (source, origin, media_id)
);

-- What in a datastore belongs to somebody else, such as a homeserver whose objects were adopted in its bucket: everything whose place
-- begins so. It is read where our records name it, and never deleted.
CREATE TABLE foreign_places (
  datastore TEXT NOT NULL,
  prefix TEXT NOT NULL,
  PRIMARY KEY (datastore, prefix)
);
