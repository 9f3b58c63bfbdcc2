-- What users uploaded lately, for limits over sliding windows: only of those for whom there is one. Deleting media takes nothing
-- away here: whoever deletes what was uploaded has uploaded it all the same.
CREATE TABLE recent_uploads (
  uploader TEXT NOT NULL,
  uploaded_at BIGINT NOT NULL,
  origin TEXT NOT NULL,
  media_id TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  kept_until BIGINT NOT NULL,
  PRIMARY KEY (uploader, uploaded_at, origin, media_id)
);

CREATE INDEX recent_uploads_by_end ON recent_uploads (kept_until);
