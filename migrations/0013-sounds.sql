-- What a recording sounds like, as JSON: channels, samples, and some of them. Null: it is no recording.
ALTER TABLE descriptions ADD COLUMN sound TEXT;

-- Recordings are described anew when somebody asks.
DELETE FROM descriptions WHERE duration_ms IS NOT NULL AND animated = 0;
