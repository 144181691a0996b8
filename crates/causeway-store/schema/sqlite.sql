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
    planned_by      INTEGER,
    doc          TEXT NOT NULL,
    UNIQUE (workspace_id, namespace_id, external_id)
) STRICT;

CREATE TABLE admitted (
    workspace_id INTEGER NOT NULL,
    automation   TEXT NOT NULL,
    hour         INTEGER NOT NULL,
    count        INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, automation)
) STRICT, WITHOUT ROWID;

CREATE TABLE "attempt" (
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

CREATE TABLE automation_name (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE campaign (
    id           INTEGER PRIMARY KEY,
    workspace_id INTEGER NOT NULL,
    namespace_id INTEGER NOT NULL,
    external_id  TEXT NOT NULL,
    -- Field -> value and the time of the value.
    doc          TEXT NOT NULL,
    UNIQUE (workspace_id, namespace_id, external_id)
) STRICT;

CREATE TABLE conflict_contact (
    workspace_id INTEGER NOT NULL,
    namespace_id INTEGER NOT NULL,
    value        TEXT NOT NULL,
    contact_id   INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, namespace_id, value, contact_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE "consent" (
    contact_id INTEGER NOT NULL,
    purpose    TEXT NOT NULL,
    what       TEXT NOT NULL,
    -- "namespace/id" for a double opt-in that counts only on an own page, else ''.
    page       TEXT NOT NULL DEFAULT '',
    at         INTEGER NOT NULL,
    -- In its normal form; '' if the message named none.
    address    TEXT NOT NULL DEFAULT '',
    basis      TEXT NOT NULL,
    inbox_id   INTEGER NOT NULL, unclear INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (contact_id, purpose, what, page, at, address)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE counter (
    name_id INTEGER NOT NULL,
    what    TEXT NOT NULL,
    value   INTEGER NOT NULL,
    PRIMARY KEY (name_id, what)
) STRICT, WITHOUT ROWID;

CREATE TABLE credential (
    name    TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    sealed  BLOB NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

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
, address TEXT NOT NULL DEFAULT '', ticket TEXT) STRICT;

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

CREATE TABLE engagement_seen (
    contact_id INTEGER NOT NULL,
    -- Of kind, key and time.
    digest     BLOB NOT NULL,
    count      INTEGER NOT NULL,
    PRIMARY KEY (contact_id, digest)
) WITHOUT ROWID;

CREATE TABLE erased (
    hash BLOB PRIMARY KEY,
    at   INTEGER NOT NULL
, opted_out_at INTEGER) STRICT, WITHOUT ROWID;

CREATE TABLE erasure (
    contact_id INTEGER PRIMARY KEY,
    -- The row that the removals belong to.
    inbox_id   INTEGER NOT NULL,
    asked_at   INTEGER NOT NULL,
    at_latest  INTEGER NOT NULL
) STRICT;

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
, about INTEGER, via TEXT, hops INTEGER NOT NULL DEFAULT 0, automations TEXT, ids TEXT, brings_data INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE TABLE given (
    contact_id     INTEGER NOT NULL,
    destination_id INTEGER NOT NULL,
    -- In its normal form; '' for a contact without one.
    address        TEXT NOT NULL,
    since          INTEGER NOT NULL,
    last_sent      INTEGER NOT NULL,
    -- What the destination received last: none, subscribe, unsubscribe, suppress, remove.
    change         TEXT NOT NULL, purpose TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (contact_id, destination_id, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE identity (
    workspace_id INTEGER NOT NULL,
    kind         TEXT NOT NULL CHECK (kind = 'email' OR kind = 'contact_ref' OR kind = 'foreign_id'),
    namespace_id INTEGER NOT NULL,
    value        TEXT NOT NULL,
    contact_id   INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, kind, namespace_id, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE identity_conflict (
    workspace_id INTEGER NOT NULL,
    namespace_id INTEGER NOT NULL,
    value        TEXT NOT NULL,
    contact_id   INTEGER NOT NULL,
    messages     INTEGER NOT NULL,
    first_at     INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    last_inbox   INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, namespace_id, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE import (
    file        BLOB PRIMARY KEY,
    -- When the run that is in progress, or the last one, began.
    began_at    INTEGER NOT NULL,
    -- NULL while it is in progress.
    finished_at INTEGER,
    -- When the same file was imported in full before that run.
    before_at   INTEGER
) STRICT, WITHOUT ROWID;

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
, sender_id BLOB, same_id INTEGER) STRICT;

CREATE TABLE inbox_body (
    id   INTEGER PRIMARY KEY,
    meta TEXT,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE lane (
    destination_id INTEGER PRIMARY KEY,
    paused         INTEGER NOT NULL CHECK (paused IN (0, 1)),
    halted         TEXT
) STRICT;

CREATE TABLE "last_run" (
    workspace_id INTEGER NOT NULL,
    automation   TEXT NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, automation)
) STRICT, WITHOUT ROWID;

CREATE TABLE memory (
    contact_id     INTEGER NOT NULL,
    destination_id INTEGER NOT NULL,
    address        TEXT NOT NULL,
    value          TEXT NOT NULL,
    changed_at     INTEGER NOT NULL,
    PRIMARY KEY (contact_id, destination_id, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

CREATE TABLE name (
    id   INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind = 'workspace' OR kind = 'source' OR kind = 'destination' OR kind = 'namespace'),
    name TEXT NOT NULL,
    UNIQUE (kind, name)
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

CREATE TABLE shared_address (
    workspace_id INTEGER NOT NULL,
    address      TEXT NOT NULL,
    contact_id   INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, address, contact_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE signed (
    source_id INTEGER NOT NULL,
    dedup     BLOB NOT NULL,
    -- The row that had the key.
    inbox_id  INTEGER NOT NULL,
    PRIMARY KEY (source_id, dedup)
) STRICT, WITHOUT ROWID;

CREATE TABLE source_url (
    hash        BLOB PRIMARY KEY CHECK (length(hash) = 32),
    source      TEXT NOT NULL,
    label       TEXT NOT NULL,
    made_at     INTEGER NOT NULL,
    -- NULL until a person rotates or revokes it.
    valid_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE timer (
    id           INTEGER PRIMARY KEY,
    due_at       INTEGER NOT NULL,
    workspace_id INTEGER NOT NULL,
    contact_id   INTEGER NOT NULL,
    -- The row that the automation ran for.
    inbox_id     INTEGER NOT NULL,
    automation   TEXT NOT NULL,
    -- JSON: "postponed" or {"step": n}.
    due          TEXT NOT NULL
, hops INTEGER NOT NULL DEFAULT 0, chain TEXT) STRICT;

CREATE INDEX action_contact ON action (contact_id) WHERE contact_id IS NOT NULL;

CREATE INDEX conflict_contact_contact ON conflict_contact (contact_id);

CREATE INDEX consent_page ON consent (page) WHERE page <> '';

CREATE INDEX contact_merged ON contact (merged_into) WHERE merged_into IS NOT NULL;

CREATE INDEX contact_workspace ON contact (workspace_id, id) WHERE doc IS NOT NULL;

CREATE INDEX delivery_by_hand ON delivery (destination_id)
    WHERE kind = 'withdrawal' AND state = 'skipped' AND gated = 1;

CREATE INDEX delivery_contact ON delivery (contact_id, destination_id, state, id);

CREATE INDEX delivery_dead ON delivery (destination_id, id) WHERE state = 'dead';

CREATE INDEX delivery_due ON delivery (destination_id, due_at, id, contact_id) WHERE state = 'waiting';

CREATE INDEX delivery_held_back ON delivery (contact_id, inbox_id)
    WHERE state = 'skipped' AND gated = 1 AND kind = 'record';

CREATE UNIQUE INDEX delivery_inbox ON delivery (inbox_id, destination_id, kind, address, contact_id);

CREATE INDEX delivery_retrying ON delivery (destination_id, id) WHERE state = 'waiting' AND attempts > 0;

CREATE INDEX delivery_withdrawal ON delivery (destination_id, due_at, id, contact_id)
    WHERE state = 'waiting' AND kind = 'withdrawal';

CREATE INDEX event_about ON event (about) WHERE about IS NOT NULL;

CREATE INDEX event_contact ON event (contact_id) WHERE contact_id IS NOT NULL;

CREATE INDEX identity_conflict_contact ON identity_conflict (contact_id);

CREATE INDEX identity_contact ON identity (contact_id);

CREATE INDEX inbox_after_erasure ON inbox (code, source_id, processed_at) WHERE code = 'after_erasure' OR code = 'erasing';

CREATE INDEX inbox_dead ON inbox (id) WHERE state = 'dead';

CREATE UNIQUE INDEX inbox_dedup ON inbox (source_id, dedup) WHERE dedup IS NOT NULL;

CREATE INDEX inbox_duplicate ON inbox (duplicate_of) WHERE duplicate_of IS NOT NULL;

CREATE INDEX inbox_new ON inbox (source_id, id) WHERE state = 'new';

CREATE INDEX inbox_unread ON inbox (id) WHERE state = 'dead' OR state = 'skipped' OR state = 'duplicate';

CREATE INDEX shared_address_contact ON shared_address (contact_id);

CREATE UNIQUE INDEX source_url_label ON source_url (source, label) WHERE valid_until IS NULL;

CREATE INDEX timer_contact ON timer (contact_id);

CREATE INDEX timer_due ON timer (due_at, id);

CREATE INDEX timer_inbox ON timer (inbox_id);

