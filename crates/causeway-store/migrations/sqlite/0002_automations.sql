-- Automations: why they ran, which timers wait, and how often they started.

-- The inbox row that an own row follows from: it has that row's action, campaign and page.
ALTER TABLE event ADD COLUMN about INTEGER;
-- JSON array of the hubs that it came through; NULL if it came directly from its source.
ALTER TABLE event ADD COLUMN via TEXT;
-- The length of the chain of responses that led to it.
ALTER TABLE event ADD COLUMN hops INTEGER NOT NULL DEFAULT 0;
-- JSON: the answers of the automations; NULL if none was asked.
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

-- The newest hour (since 1970) in which an automation with a limit ran, and how often it ran.
CREATE TABLE admitted (
    workspace_id INTEGER NOT NULL,
    automation   TEXT NOT NULL,
    hour         INTEGER NOT NULL,
    count        INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, automation)
) STRICT, WITHOUT ROWID;

-- The time up to which a scheduled automation has run.
CREATE TABLE turn (
    workspace_id INTEGER NOT NULL,
    automation   TEXT NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, automation)
) STRICT, WITHOUT ROWID;

CREATE INDEX event_about ON event (about) WHERE about IS NOT NULL;
CREATE INDEX contact_workspace ON contact (workspace_id, id) WHERE doc IS NOT NULL;

INSERT INTO meta (key, value) VALUES ('hub_id', lower(hex(randomblob(6))));
