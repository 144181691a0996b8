-- Listener addresses, each minted for one sync of a platform. Only the SHA-256 of the token is kept.
CREATE TABLE source_url (
    hash        BLOB PRIMARY KEY CHECK (length(hash) = 32),
    source      TEXT NOT NULL,
    label       TEXT NOT NULL,
    made_at     INTEGER NOT NULL,
    -- NULL until a person rotates or revokes it.
    valid_until INTEGER
) STRICT, WITHOUT ROWID;
-- mint: one valid address for each label.
CREATE UNIQUE INDEX source_url_label ON source_url (source, label) WHERE valid_until IS NULL;
