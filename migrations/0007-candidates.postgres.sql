-- What is looked for without a name, page by page: what nobody has used for long, what is old, what is quarantined. The indexes
-- hold all that a page gives, so that the rows themselves, each in another place, are not read for it.
CREATE INDEX media_by_last_use ON media (kind, (coalesce(accessed_at, created_at)), origin, media_id)
-- PostgreSQL does not see that the expression is all it needs of its columns.
INCLUDE (accessed_at, created_at)
WHERE quarantined_at IS NULL;

CREATE INDEX media_by_age ON media (origin, created_at, media_id);

CREATE INDEX media_quarantined ON media (quarantined_at, origin, media_id) WHERE quarantined_at IS NOT NULL;

CREATE INDEX thumbnails_by_last_use ON thumbnails ((coalesce(accessed_at, created_at)));
