-- Each fact holds the address that it is about.
CREATE TABLE consent_new (
    contact_id INTEGER NOT NULL,
    purpose    TEXT NOT NULL,
    what       TEXT NOT NULL,
    -- "namespace/id" for a double opt-in that counts only on an own page, else ''.
    page       TEXT NOT NULL DEFAULT '',
    at         INTEGER NOT NULL,
    -- In its normal form; '' if the message named none.
    address    TEXT NOT NULL DEFAULT '',
    basis      TEXT NOT NULL,
    inbox_id   INTEGER NOT NULL,
    PRIMARY KEY (contact_id, purpose, what, page, at, address)
) STRICT, WITHOUT ROWID;
INSERT INTO consent_new (contact_id, purpose, what, page, at, basis, inbox_id)
    SELECT contact_id, purpose, what, page, at, basis, inbox_id FROM consent;
DROP TABLE consent;
ALTER TABLE consent_new RENAME TO consent;
CREATE INDEX consent_page ON consent (page) WHERE page <> '';

-- A destination was given a contact under an address. Written before the request starts.
CREATE TABLE given (
    contact_id     INTEGER NOT NULL,
    destination_id INTEGER NOT NULL,
    -- In its normal form; '' for a contact without one.
    address        TEXT NOT NULL,
    since          INTEGER NOT NULL,
    last_sent      INTEGER NOT NULL,
    -- What the destination received last: none, subscribe, unsubscribe, suppress, remove.
    change         TEXT NOT NULL,
    PRIMARY KEY (contact_id, destination_id, address)
) STRICT, WITHOUT ROWID;
INSERT INTO given (contact_id, destination_id, address, since, last_sent, change)
    SELECT delivery.contact_id, delivery.destination_id,
           coalesce(lower(trim(json_extract(contact.doc, '$.fields.email.v'))), ''),
           min(delivery.planned_at), max(coalesce(delivery.finished_at, delivery.planned_at)),
           CASE WHEN max(CASE WHEN delivery.kind = 'withdrawal' AND delivery.state = 'delivered' THEN delivery.id ELSE 0 END)
                   > max(CASE WHEN delivery.kind <> 'withdrawal' THEN delivery.id ELSE 0 END)
                THEN 'unsubscribe' ELSE 'subscribe' END
    FROM delivery JOIN contact ON contact.id = delivery.contact_id
    WHERE contact.doc IS NOT NULL AND (delivery.state = 'delivered' OR delivery.attempts > 0)
    GROUP BY delivery.contact_id, delivery.destination_id;

-- A withdrawal is about one address; '' = the one in use when it is sent.
ALTER TABLE delivery ADD COLUMN address TEXT NOT NULL DEFAULT '';
DROP INDEX delivery_inbox;
CREATE UNIQUE INDEX delivery_inbox ON delivery (inbox_id, destination_id, kind, address, contact_id);
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (destination_id, due_at, id, contact_id) WHERE state = 'waiting';

-- The foreign ids that the message itself named, a JSON object: namespace -> id.
ALTER TABLE event ADD COLUMN ids TEXT;

-- Addresses that several contacts use: the mailbox has one consent, and the people stay apart.
CREATE TABLE shared_address (
    workspace_id INTEGER NOT NULL,
    address      TEXT NOT NULL,
    contact_id   INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, address, contact_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX shared_address_contact ON shared_address (contact_id);

-- Foreign ids that came with more addresses than one person has, for a person to check.
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

-- Actions that were held back for lack of consent, until it is given.
CREATE INDEX delivery_held_back ON delivery (contact_id, inbox_id)
    WHERE state = 'skipped' AND gated = 1 AND kind = 'record';
CREATE INDEX identity_conflict_contact ON identity_conflict (contact_id);
-- Withdrawals that a destination cannot receive, so that a person must update it by hand.
CREATE INDEX delivery_by_hand ON delivery (destination_id)
    WHERE kind = 'withdrawal' AND state = 'skipped' AND gated = 1;
