-- What recognises a repeat, and what makes it none.

-- The sender's id of the message, hashed. Equal ids with different content are different messages.
ALTER TABLE inbox ADD COLUMN sender_id BLOB;
-- Another message that had the same sender_id and other content when this one came.
ALTER TABLE inbox ADD COLUMN same_id INTEGER;
-- accept: did another message have this id?
CREATE INDEX inbox_sender_id ON inbox (source_id, sender_id) WHERE sender_id IS NOT NULL;

-- 1 when an event of kind 'engagement' brought data or consent of the contact: then the same message as before is not a
-- repeat any more. Events of the other kinds always do, apart from those of our own making.
ALTER TABLE event ADD COLUMN tells INTEGER NOT NULL DEFAULT 0;

-- Keys of signed requests that could be sent again, kept when their rows are gone. They are keyed hashes.
CREATE TABLE signed (
    source_id INTEGER NOT NULL,
    dedup     BLOB NOT NULL,
    -- The row that had it.
    inbox_id  INTEGER NOT NULL,
    PRIMARY KEY (source_id, dedup)
) STRICT, WITHOUT ROWID;

-- Files that were imported, by their content and how it was read, so that an import that was interrupted goes on and
-- a file that comes again is recognised.
CREATE TABLE import (
    file        BLOB PRIMARY KEY,
    -- When the run began that is under way or was the last.
    began_at    INTEGER NOT NULL,
    -- NULL while it is under way.
    finished_at INTEGER,
    -- When the same file was imported in full before that.
    before_at   INTEGER
) STRICT, WITHOUT ROWID;
