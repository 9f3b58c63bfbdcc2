-- What was quarantined and released, in the order in which it was committed: whoever has read up to some `id` finds all that came
-- later behind it. The first is 2: 1 stands for having read nothing, as with Synapse.
CREATE TABLE quarantine_changes (
  id BIGINT NOT NULL PRIMARY KEY,
  origin TEXT NOT NULL,
  media_id TEXT NOT NULL,
  -- 1 or 0.
  quarantined BIGINT NOT NULL
);

-- What is quarantined already.
INSERT INTO quarantine_changes (id, origin, media_id, quarantined)
SELECT 1 + row_number() OVER (ORDER BY quarantined_at, origin, media_id), origin, media_id, 1
FROM media
WHERE quarantined_at IS NOT NULL;
