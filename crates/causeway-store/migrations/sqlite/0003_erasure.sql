-- People who asked to be forgotten, while the destinations that were given them are told.
CREATE TABLE erasure (
    contact_id INTEGER PRIMARY KEY,
    -- The row that the last deliveries hang on.
    inbox_id   INTEGER NOT NULL,
    asked_at   INTEGER NOT NULL,
    at_latest  INTEGER NOT NULL
) STRICT;
