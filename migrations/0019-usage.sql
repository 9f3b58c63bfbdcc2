-- What each user uploaded to each server, by the day (whole days since 1970, UTC) that it is from; day -1 is the sum of all days.
-- Differences come from `usage_changes`, as for the other totals.
CREATE TABLE uploader_days (
  server TEXT NOT NULL,
  day BIGINT NOT NULL,
  uploader TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  files BIGINT NOT NULL,
  PRIMARY KEY (server, day, uploader)
);

INSERT INTO uploader_days (server, day, uploader, bytes, files)
SELECT media.origin, media.created_at / 86400000, media.uploader, sum(objects.size), count(*)
FROM media JOIN objects ON objects.sha256 = media.sha256
WHERE media.uploader IS NOT NULL
GROUP BY 1, 2, 3;

INSERT INTO uploader_days (server, day, uploader, bytes, files)
SELECT server, -1, uploader, sum(bytes), sum(files) FROM uploader_days GROUP BY server, uploader;

CREATE INDEX uploaders_by_files ON uploader_days (server, files, uploader, bytes) WHERE day = -1;

CREATE INDEX uploaders_by_bytes ON uploader_days (server, bytes, uploader, files) WHERE day = -1;

-- For whose media a thumbnail was first made: that server's usage has it, also where others have the same content.
ALTER TABLE thumbnails ADD COLUMN made_for TEXT;

UPDATE thumbnails
SET made_for = (SELECT min(media.origin) FROM media WHERE media.sha256 = thumbnails.source_sha256);

INSERT INTO usage_totals (subject, bytes, files)
SELECT 'thumbnails:' || thumbnails.made_for, sum(objects.size), count(*)
FROM thumbnails JOIN objects ON objects.sha256 = thumbnails.sha256
WHERE thumbnails.made_for IS NOT NULL
GROUP BY 1;

-- When a job last ended well, by the database's clock; null: never yet.
ALTER TABLE jobs ADD COLUMN succeeded_at BIGINT;

UPDATE jobs SET succeeded_at = ended_at WHERE error = '';

-- The task that this one was begun again for.
ALTER TABLE tasks ADD COLUMN retry_of BIGINT;

CREATE INDEX tasks_by_end ON tasks (ended_at) WHERE ended_at IS NOT NULL;
