-- Taking over from matrix-media-repo. What is in these tables goes when the take-over is finished.
--
-- How far it is: one row.
CREATE TABLE mmr_take_over (
  id TEXT NOT NULL PRIMARY KEY,
  -- 'here' for tables in this database, else the other database's host, port and name.
  source TEXT NOT NULL,
  -- The schema in which MMR's tables are there.
  tables_in TEXT NOT NULL,
  state TEXT NOT NULL,
  -- JSON.
  progress TEXT NOT NULL,
  began_at BIGINT NOT NULL,
  -- When MMR's records were last all here.
  copied_at BIGINT
);

-- Every row of MMR's table `media` that was seen, and what it said then. Whatever is not in it was never brought here.
CREATE TABLE mmr_media (
  origin TEXT NOT NULL,
  media_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  -- 1: quarantined, 2: for authenticated callers only, 4: pinned, 8: a copy of a thumbnail, which is not brought here.
  flags BIGINT NOT NULL,
  PRIMARY KEY (origin, media_id)
);

-- Every place in a datastore that a row of MMR's names: until the take-over is finished, nothing deletes what is there.
CREATE TABLE mmr_places (
  datastore TEXT NOT NULL,
  location TEXT NOT NULL,
  -- Empty: not known.
  sha256 TEXT NOT NULL,
  PRIMARY KEY (datastore, location)
);

CREATE INDEX mmr_places_by_content ON mmr_places (sha256);

-- What could not be brought here, or is not as it should be.
CREATE TABLE mmr_problems (
  problem TEXT NOT NULL,
  origin TEXT NOT NULL,
  media_id TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (problem, origin, media_id)
);
