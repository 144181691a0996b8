-- 1 for an opt-out that several people may have given: its message names only a mailbox, or only an id that came with
-- several addresses. It also counts for those who turn out later to have used the mailbox then.
ALTER TABLE consent ADD COLUMN unclear INTEGER NOT NULL DEFAULT 0;
