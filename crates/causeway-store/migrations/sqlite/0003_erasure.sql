-- Pending erasures: destinations that have the person are sent a removal first.
CREATE TABLE erasure (
    contact_id INTEGER PRIMARY KEY,
    -- The row that the removals belong to.
    inbox_id   INTEGER NOT NULL,
    asked_at   INTEGER NOT NULL,
    at_latest  INTEGER NOT NULL
) STRICT;
