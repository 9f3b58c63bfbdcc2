-- What decoding found out about content: the size of its picture in pixels, how long it lasts, a blurhash. Goes with the content.
CREATE TABLE descriptions (
  sha256 TEXT NOT NULL PRIMARY KEY REFERENCES objects (sha256) ON DELETE CASCADE,
  content_type TEXT NOT NULL,
  width BIGINT NOT NULL,
  height BIGINT NOT NULL,
  -- 1 or 0: whether its picture moves.
  animated BIGINT NOT NULL,
  duration_ms BIGINT,
  blurhash TEXT
);
