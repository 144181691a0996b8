-- Withdrawals are claimed before anything else.
CREATE INDEX delivery_withdrawal ON delivery (destination_id, due_at, contact_id)
    WHERE state = 'waiting' AND kind = 'withdrawal';

-- The contacts that messages with an id of identity_conflict counted for. An opt-out that names only the id
-- counts for them, too.
CREATE TABLE conflict_contact (
    workspace_id INTEGER NOT NULL,
    namespace_id INTEGER NOT NULL,
    value        TEXT NOT NULL,
    contact_id   INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, namespace_id, value, contact_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX conflict_contact_contact ON conflict_contact (contact_id);
