-- Addresses minted for one sync of another platform each. Of the token only its SHA-256 is kept.
CREATE TABLE source_url (
    hash        BLOB PRIMARY KEY CHECK (length(hash) = 32),
    source      TEXT NOT NULL,
    label       TEXT NOT NULL,
    made_at     INTEGER NOT NULL,
    -- NULL until somebody rotates or revokes it.
    valid_until INTEGER
) STRICT, WITHOUT ROWID;
-- mint: one that lasts for each label.
CREATE UNIQUE INDEX source_url_label ON source_url (source, label) WHERE valid_until IS NULL;
