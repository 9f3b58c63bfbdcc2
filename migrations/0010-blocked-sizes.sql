-- How large blocked content is: what other servers send in another size cannot be it, and need not be looked at before it is
-- passed on. Null: deleted before this was noted.
ALTER TABLE deleted_media ADD COLUMN size BIGINT;

CREATE INDEX deleted_media_blocked ON deleted_media (size) WHERE quarantined_at IS NOT NULL;

CREATE INDEX objects_by_size ON objects (size);
