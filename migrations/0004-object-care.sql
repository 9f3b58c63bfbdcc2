-- Since when the bytes of an object are known to be gone, and since when they are known not to be what their hash says.
ALTER TABLE objects ADD COLUMN lost_at BIGINT;

ALTER TABLE objects ADD COLUMN damaged_at BIGINT;

-- How far a chore has come that goes through everything: where it is, in its own words.
CREATE TABLE care_progress (
  chore TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL,
  updated_at BIGINT NOT NULL
);
