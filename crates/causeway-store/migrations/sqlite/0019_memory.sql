-- An attempt may end as pending, and keeps its request. SQLite cannot change a CHECK, so the table is made anew.
CREATE TABLE attempt_new (
    delivery_id INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    took_ms     INTEGER NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome = 'delivered' OR outcome = 'skip' OR outcome = 'retry' OR outcome = 'busy'
                                     OR outcome = 'pending' OR outcome = 'reject' OR outcome = 'halt'),
    reason      TEXT,
    status      INTEGER,
    excerpt     TEXT,
    request     TEXT,
    PRIMARY KEY (delivery_id, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO attempt_new SELECT *, NULL FROM attempt;
DROP TABLE attempt;
ALTER TABLE attempt_new RENAME TO attempt;

-- Names the result that a destination will have later.
ALTER TABLE delivery ADD COLUMN ticket TEXT;

-- What a destination remembers about a contact, in a form of its own: ids there, what was written last.
CREATE TABLE memory (
    contact_id     INTEGER NOT NULL,
    destination_id INTEGER NOT NULL,
    address        TEXT NOT NULL,
    value          TEXT NOT NULL,
    changed_at     INTEGER NOT NULL,
    PRIMARY KEY (contact_id, destination_id, address)
) STRICT, WITHOUT ROWID;

-- Tokens that destinations received, sealed. `version` goes up by one with each change.
CREATE TABLE credential (
    name    TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    sealed  BLOB NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
