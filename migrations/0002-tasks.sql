-- Work that one instance at a time does. Whoever has its token in the row holds it; `expires_at` is by the database's clock.
CREATE TABLE leases (
  name TEXT NOT NULL PRIMARY KEY,
  token TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);

CREATE INDEX leases_by_end ON leases (expires_at);

-- When each scheduled job last ended, by the database's clock, and what went wrong.
CREATE TABLE jobs (
  name TEXT NOT NULL PRIMARY KEY,
  ended_at BIGINT NOT NULL,
  error TEXT NOT NULL
);

-- What administrators asked for and takes its time. `params` and `progress` are JSON.
CREATE TABLE tasks (
  id BIGINT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  params TEXT NOT NULL,
  progress TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at BIGINT,
  cancelled_at BIGINT,
  error TEXT NOT NULL
);

CREATE INDEX tasks_unfinished ON tasks (id) WHERE ended_at IS NULL;

-- Bytes that no object's row names any more, kept until nobody can be reading them. `delete_after`: by the database's clock.
CREATE TABLE unused_objects (
  datastore TEXT NOT NULL,
  location TEXT NOT NULL,
  delete_after BIGINT NOT NULL,
  PRIMARY KEY (datastore, location)
);

CREATE INDEX unused_objects_by_time ON unused_objects (delete_after);
