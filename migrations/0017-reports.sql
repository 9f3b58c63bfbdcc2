-- Media that administrators are asked to look at: by a gate that let them through all the same, or by somebody.
CREATE TABLE reports (
  id TEXT NOT NULL PRIMARY KEY,
  origin TEXT NOT NULL,
  media_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  -- A gate's name, or 'administrator'.
  source TEXT NOT NULL,
  reason TEXT NOT NULL,
  -- Whoever reported; null: a gate.
  reporter TEXT,
  created_at BIGINT NOT NULL,
  closed_at BIGINT,
  -- 'dismissed' or 'quarantined'; null: it is open.
  outcome TEXT,
  closed_by TEXT
);

CREATE INDEX reports_open ON reports (created_at, id) WHERE closed_at IS NULL;

CREATE INDEX reports_closed ON reports (created_at, id) WHERE closed_at IS NOT NULL;

CREATE INDEX reports_by_content ON reports (sha256);
