-- What led to a timer, so that automations that trigger each other come to an end.
-- The number of responses that led to it, as in event.hops.
ALTER TABLE timer ADD COLUMN hops INTEGER NOT NULL DEFAULT 0;
-- JSON array: the automations whose timers led to this one, in order; NULL if there is none.
ALTER TABLE timer ADD COLUMN chain TEXT;
