-- Times are integer milliseconds since 1970, UTC. States are words. Foreign keys are not enforced: rows are
-- pruned in an order of their own, and the one writer keeps the references right.
--
-- Checks list the words with OR. For an IN list of more than two, SQLite fills a temporary table in each
-- statement.

-- Single values: the key of the hashes in `erased`, the pulse of the health check.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES ('erase_key', randomblob(32)), ('pulse', 0);

-- Names from the configuration, so that rows hold a small number.
CREATE TABLE name (
    id   INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind = 'workspace' OR kind = 'source' OR kind = 'destination' OR kind = 'namespace'),
    name TEXT NOT NULL,
    UNIQUE (kind, name)
) STRICT;

-- One row for each accepted message. It is small, because its state changes; the body is in inbox_body.
CREATE TABLE inbox (
    id           INTEGER PRIMARY KEY,
    source_id    INTEGER NOT NULL,
    -- NULL on duplicates, and on rows whose window has passed.
    dedup        BLOB,
    window_ms    INTEGER,
    -- The key of the message, which never changes: idempotency keys derive from it.
    key          BLOB NOT NULL,
    received_at  INTEGER NOT NULL,
    processed_at INTEGER,
    state        TEXT NOT NULL CHECK (state = 'new' OR state = 'done' OR state = 'skipped' OR state = 'dead'
                                    OR state = 'duplicate'),
    code         TEXT,
    reason       TEXT,
    duplicate_of INTEGER,
    bytes        INTEGER NOT NULL
) STRICT;

-- accept: is it a duplicate?
CREATE UNIQUE INDEX inbox_dedup ON inbox (source_id, dedup) WHERE dedup IS NOT NULL;
-- fetch_new, and the oldest waiting message of each source.
CREATE INDEX inbox_new ON inbox (source_id, id) WHERE state = 'new';
-- replay, and the list of dead messages.
CREATE INDEX inbox_dead ON inbox (id) WHERE state = 'dead';
-- erase: bodies of duplicates that differed from the first.
CREATE INDEX inbox_duplicate ON inbox (duplicate_of) WHERE duplicate_of IS NOT NULL;

CREATE TABLE inbox_body (
    id   INTEGER PRIMARY KEY,
    meta TEXT,
    body BLOB NOT NULL
) STRICT;

-- The event of an inbox row. Written once, when the row is processed.
CREATE TABLE event (
    inbox_id     INTEGER PRIMARY KEY,
    workspace_id INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    at           INTEGER NOT NULL,
    contact_id   INTEGER,
    action_id    INTEGER,
    campaign_id  INTEGER,
    page_id      INTEGER,
    decision     TEXT,
    -- JSON arrays; NULL when empty.
    notes        TEXT,
    merged       TEXT
) STRICT;

-- contact, erase, merge: the inbox rows that named a person.
CREATE INDEX event_contact ON event (contact_id) WHERE contact_id IS NOT NULL;

CREATE TABLE contact (
    id           INTEGER PRIMARY KEY,
    workspace_id INTEGER NOT NULL,
    -- Fields and consent as one JSON document; NULL once the contact was merged or erased. The row stays, so
    -- that its number is never given to another contact.
    doc          TEXT,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    merged_into  INTEGER
) STRICT;

-- erase, and links to a contact that was merged.
CREATE INDEX contact_merged ON contact (merged_into) WHERE merged_into IS NOT NULL;

CREATE TABLE identity (
    workspace_id INTEGER NOT NULL,
    kind         TEXT NOT NULL CHECK (kind = 'email' OR kind = 'contact_ref' OR kind = 'foreign_id'),
    namespace_id INTEGER NOT NULL,
    value        TEXT NOT NULL,
    contact_id   INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, kind, namespace_id, value)
) STRICT, WITHOUT ROWID;

-- claim and contact: all identities of a person.
CREATE INDEX identity_contact ON identity (contact_id);

CREATE TABLE action (
    id           INTEGER PRIMARY KEY,
    workspace_id INTEGER NOT NULL,
    namespace_id INTEGER NOT NULL,
    external_id  TEXT NOT NULL,
    -- external_id if it is a number: gaps show actions that never came.
    number       INTEGER,
    source_id    INTEGER NOT NULL,
    contact_id   INTEGER,
    campaign_id  INTEGER,
    page_id      INTEGER,
    -- The inbox row whose event planned the action's deliveries; NULL while only stages without deliveries
    -- were seen.
    told_by      INTEGER,
    doc          TEXT NOT NULL,
    UNIQUE (workspace_id, namespace_id, external_id)
) STRICT;

-- contact, erase, merge.
CREATE INDEX action_contact ON action (contact_id) WHERE contact_id IS NOT NULL;

CREATE TABLE campaign (
    id           INTEGER PRIMARY KEY,
    workspace_id INTEGER NOT NULL,
    namespace_id INTEGER NOT NULL,
    external_id  TEXT NOT NULL,
    -- Field -> value and the time of the value.
    doc          TEXT NOT NULL,
    UNIQUE (workspace_id, namespace_id, external_id)
) STRICT;

CREATE TABLE page (
    id           INTEGER PRIMARY KEY,
    workspace_id INTEGER NOT NULL,
    namespace_id INTEGER NOT NULL,
    external_id  TEXT NOT NULL,
    doc          TEXT NOT NULL,
    -- Whether it is an own page, by the rules that were set last.
    own          INTEGER NOT NULL DEFAULT 0 CHECK (own IN (0, 1)),
    UNIQUE (workspace_id, namespace_id, external_id)
) STRICT;

-- The ledger: each fact about consent, its time, and the message that it came with.
CREATE TABLE consent (
    contact_id INTEGER NOT NULL,
    purpose    TEXT NOT NULL,
    what       TEXT NOT NULL,
    -- "namespace/id" for a double opt-in that counts only on an own page, else ''.
    page       TEXT NOT NULL DEFAULT '',
    at         INTEGER NOT NULL,
    basis      TEXT NOT NULL,
    inbox_id   INTEGER NOT NULL,
    PRIMARY KEY (contact_id, purpose, what, page, at)
) STRICT, WITHOUT ROWID;

-- A page becomes an own page: who confirmed on it?
CREATE INDEX consent_page ON consent (page) WHERE page <> '';

CREATE TABLE engagement (
    contact_id INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    -- -1 if the time is not known, because a key cannot be NULL.
    at         INTEGER NOT NULL,
    name       TEXT,
    raw_at     TEXT,
    count      INTEGER,
    score      REAL,
    PRIMARY KEY (contact_id, kind, key, at)
) STRICT, WITHOUT ROWID;

-- The outbox. One row for each inbox row, destination and kind, whatever its outcome.
CREATE TABLE delivery (
    id             INTEGER PRIMARY KEY,
    inbox_id       INTEGER NOT NULL,
    destination_id INTEGER NOT NULL,
    contact_id     INTEGER,
    kind           TEXT NOT NULL CHECK (kind = 'record' OR kind = 'contact' OR kind = 'withdrawal'),
    state          TEXT NOT NULL CHECK (state = 'waiting' OR state = 'blocked' OR state = 'delivered' OR state = 'dead'
                                      OR state = 'skipped'),
    -- Failed attempts since it was planned, or since a person retried it.
    attempts       INTEGER NOT NULL DEFAULT 0,
    due_at         INTEGER NOT NULL,
    planned_at     INTEGER NOT NULL,
    finished_at    INTEGER,
    -- 1 if it was skipped for lack of consent, which may be given later.
    gated          INTEGER NOT NULL DEFAULT 0 CHECK (gated IN (0, 1)),
    reason         TEXT,
    remote_id      TEXT
) STRICT;

-- process: the same delivery is never made twice; trace.
CREATE UNIQUE INDEX delivery_inbox ON delivery (inbox_id, destination_id, kind);
-- claim.
CREATE INDEX delivery_due ON delivery (destination_id, due_at, id) WHERE state = 'waiting';
-- process and record: open and delivered deliveries of one contact at one destination.
CREATE INDEX delivery_contact ON delivery (contact_id, destination_id, state, id);
-- overview: the oldest that failed at least once.
CREATE INDEX delivery_retrying ON delivery (destination_id, id) WHERE state = 'waiting' AND attempts > 0;
-- retry, and the list of dead deliveries.
CREATE INDEX delivery_dead ON delivery (destination_id, id) WHERE state = 'dead';

CREATE TABLE attempt (
    delivery_id INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    took_ms     INTEGER NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome = 'delivered' OR outcome = 'skip' OR outcome = 'retry' OR outcome = 'reject'
                                     OR outcome = 'halt'),
    reason      TEXT,
    status      INTEGER,
    excerpt     TEXT,
    PRIMARY KEY (delivery_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE lane (
    destination_id INTEGER PRIMARY KEY,
    paused         INTEGER NOT NULL CHECK (paused IN (0, 1)),
    halted         TEXT
) STRICT;

-- Counters, changed in the transaction of what they count. `received` and `planned` are one half of the
-- books. The states are for the overview. `pruned_…` count rows that were deleted.
CREATE TABLE counter (
    name_id INTEGER NOT NULL,
    what    TEXT NOT NULL,
    value   INTEGER NOT NULL,
    PRIMARY KEY (name_id, what)
) STRICT, WITHOUT ROWID;

-- Keyed hashes of identities that must not come back.
CREATE TABLE erased (
    hash BLOB PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
