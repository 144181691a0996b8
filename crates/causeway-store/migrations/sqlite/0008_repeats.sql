-- How a duplicate is recognised.

-- The sender's id of the message, hashed. Equal ids with different content are different messages.
ALTER TABLE inbox ADD COLUMN sender_id BLOB;
-- Another message with the same sender_id and other content that was there when this one came.
ALTER TABLE inbox ADD COLUMN same_id INTEGER;
-- accept: did another message have this id?
CREATE INDEX inbox_sender_id ON inbox (source_id, sender_id) WHERE sender_id IS NOT NULL;

-- 1 if an event of kind 'engagement' brought data or consent of the contact. The same message as one from
-- before it is then no duplicate any more. Events of all other kinds count as bringing data, except for those
-- that the hub makes itself.
ALTER TABLE event ADD COLUMN tells INTEGER NOT NULL DEFAULT 0;

-- Keys of signed requests that could be sent again, kept after their rows are deleted. They are keyed hashes.
CREATE TABLE signed (
    source_id INTEGER NOT NULL,
    dedup     BLOB NOT NULL,
    -- The row that had the key.
    inbox_id  INTEGER NOT NULL,
    PRIMARY KEY (source_id, dedup)
) STRICT, WITHOUT ROWID;

-- Imported files, by their content and how they were read, so that an interrupted import can continue and a
-- file that is imported again is recognised.
CREATE TABLE import (
    file        BLOB PRIMARY KEY,
    -- When the run that is in progress, or the last one, began.
    began_at    INTEGER NOT NULL,
    -- NULL while it is in progress.
    finished_at INTEGER,
    -- When the same file was imported in full before that run.
    before_at   INTEGER
) STRICT, WITHOUT ROWID;
