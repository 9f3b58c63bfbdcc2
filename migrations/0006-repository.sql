-- What this repository is, one row each. `id`: a random name that it keeps, by which it knows its own messages where several
-- repositories share a Redis.
CREATE TABLE repository (
  key TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
);
