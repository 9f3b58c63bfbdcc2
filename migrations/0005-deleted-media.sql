-- Names of media that were deleted: ids that were handed out here never come back, and content that was blocked stays so when
-- its bytes are gone. `sha256` refers to nothing: the object may be gone as well.
CREATE TABLE deleted_media (
  origin TEXT NOT NULL,
  media_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  kind TEXT NOT NULL,
  deleted_at BIGINT NOT NULL,
  quarantined_at BIGINT,
  PRIMARY KEY (origin, media_id)
);

CREATE INDEX deleted_media_by_content ON deleted_media (sha256);
