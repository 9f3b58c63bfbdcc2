-- What came of the last run of each job: how long it took (ms), a report as JSON, and, where it stopped before all was done, when it
-- goes on (ms after its end).
ALTER TABLE jobs ADD COLUMN duration_ms BIGINT;

ALTER TABLE jobs ADD COLUMN report TEXT;

ALTER TABLE jobs ADD COLUMN again_in_ms BIGINT;

-- When a preview was last asked for; null: not since it was made, or since that is noted.
ALTER TABLE previews ADD COLUMN accessed_at BIGINT;

CREATE INDEX previews_by_last_use ON previews ((coalesce(accessed_at, created_at)));

CREATE INDEX pending_media_by_end ON pending_media (expires_at);

-- Tombstones that nothing needs any more: ids of ours stay taken, and what is blocked stays blocked.
CREATE INDEX deleted_media_forgettable ON deleted_media (deleted_at) WHERE quarantined_at IS NULL AND kind = 'remote';
