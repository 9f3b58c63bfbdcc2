-- Since when, and by whom, a name is kept from quarantine, purges and expiry (MMR's `pinned`, Synapse's `protect`); null: it is not.
ALTER TABLE media ADD COLUMN protected_at BIGINT;

ALTER TABLE media ADD COLUMN protected_by TEXT;

-- Who quarantined it: a user id, or what the program calls itself; null: nobody, or it was not noted.
ALTER TABLE media ADD COLUMN quarantined_by TEXT;
