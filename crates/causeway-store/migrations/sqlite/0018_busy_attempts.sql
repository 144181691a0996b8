-- An attempt may end as busy: the destination takes nothing for now. SQLite cannot change a CHECK, so the table is made anew.
CREATE TABLE attempt_new (
    delivery_id INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    took_ms     INTEGER NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome = 'delivered' OR outcome = 'skip' OR outcome = 'retry' OR outcome = 'busy'
                                     OR outcome = 'reject' OR outcome = 'halt'),
    reason      TEXT,
    status      INTEGER,
    excerpt     TEXT,
    PRIMARY KEY (delivery_id, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO attempt_new SELECT * FROM attempt;
DROP TABLE attempt;
ALTER TABLE attempt_new RENAME TO attempt;
