-- Who did what as an administrator. Lines are numbered in the order of their commits, and the last one is never deleted, so
-- that no number comes twice.
CREATE TABLE audit (
  id BIGINT NOT NULL PRIMARY KEY,
  began_at BIGINT NOT NULL,
  -- Null: it goes on, or whoever did it has crashed.
  ended_at BIGINT,
  -- A user id, `@sharedsecret`, or `cli:` and the name of an account of the machine.
  actor TEXT NOT NULL,
  address TEXT,
  request_id TEXT,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  -- JSON.
  details TEXT NOT NULL,
  -- How many media, tasks or whatever it is about; null: that is not counted.
  affected BIGINT,
  -- What went wrong; empty: nothing.
  error TEXT NOT NULL
);

CREATE INDEX audit_by_time ON audit (began_at);

CREATE INDEX audit_by_actor ON audit (actor, id);

CREATE INDEX audit_by_action ON audit (action, id);

CREATE INDEX audit_by_subject ON audit (subject, id);
