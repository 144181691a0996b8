-- What led to a timer, so that automations that start each other come to an end.
-- How many answers led to it, as in event.hops.
ALTER TABLE timer ADD COLUMN hops INTEGER NOT NULL DEFAULT 0;
-- JSON array: the automations that put something off before, each leading to the next; NULL when there is none.
ALTER TABLE timer ADD COLUMN chain TEXT;
