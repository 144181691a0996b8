-- Automations: why they ran, what waits for its time, and how often they started.

-- The inbox row that one of our own making follows from: its action, campaign and page are meant.
ALTER TABLE event ADD COLUMN about INTEGER;
-- JSON array of the hubs that it came through; NULL when it came from its source at first hand.
ALTER TABLE event ADD COLUMN via TEXT;
-- How many answers led to it, each to the next.
ALTER TABLE event ADD COLUMN hops INTEGER NOT NULL DEFAULT 0;
-- JSON; NULL when no automation listens to what happened.
ALTER TABLE event ADD COLUMN automations TEXT;

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
) STRICT;

CREATE INDEX timer_due ON timer (due_at, id);
CREATE INDEX timer_contact ON timer (contact_id);
CREATE INDEX timer_inbox ON timer (inbox_id);

-- The newest hour (since 1970) that an automation with a limit was admitted to, and how often.
CREATE TABLE admitted (
    workspace_id INTEGER NOT NULL,
    automation   TEXT NOT NULL,
    hour         INTEGER NOT NULL,
    count        INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, automation)
) STRICT, WITHOUT ROWID;

-- Up to when an automation that the clock starts has had its turns.
CREATE TABLE turn (
    workspace_id INTEGER NOT NULL,
    automation   TEXT NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, automation)
) STRICT, WITHOUT ROWID;

CREATE INDEX event_about ON event (about) WHERE about IS NOT NULL;
CREATE INDEX contact_workspace ON contact (workspace_id, id) WHERE doc IS NOT NULL;

INSERT INTO meta (key, value) VALUES ('hub_id', lower(hex(randomblob(6))));
