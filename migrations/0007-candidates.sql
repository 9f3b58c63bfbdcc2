-- What is looked for without a name, page by page: what nobody has used for long, what is old, what is quarantined.
CREATE INDEX media_by_last_use ON media (kind, (coalesce(accessed_at, created_at)));

CREATE INDEX media_by_age ON media (origin, created_at);

CREATE INDEX media_quarantined ON media (quarantined_at, origin, media_id) WHERE quarantined_at IS NOT NULL;

CREATE INDEX thumbnails_by_last_use ON thumbnails ((coalesce(accessed_at, created_at)));
