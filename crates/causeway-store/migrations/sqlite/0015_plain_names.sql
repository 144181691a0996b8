-- Columns and a table get the names that the code uses. The data stays as it is.

-- Whether the event brought data or consent of the contact; see 0008.
ALTER TABLE event RENAME COLUMN tells TO brings_data;
-- The inbox row whose event planned the action's deliveries; see 0001.
ALTER TABLE action RENAME COLUMN told_by TO planned_by;
-- The time up to which a scheduled automation has run; see 0002.
ALTER TABLE turn RENAME TO last_run;
