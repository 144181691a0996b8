-- Engagements that are past their retention: enough to know that a platform sent them before. Platforms send the whole
-- history each time.
CREATE TABLE engagement_seen (
    contact_id INTEGER NOT NULL,
    -- Of kind, key and time.
    digest     BLOB NOT NULL,
    count      INTEGER NOT NULL,
    PRIMARY KEY (contact_id, digest)
) WITHOUT ROWID;
