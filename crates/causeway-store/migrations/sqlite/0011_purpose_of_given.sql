-- The purpose that a destination had when it was given the contact; '' = the one that it has now.
ALTER TABLE given ADD COLUMN purpose TEXT NOT NULL DEFAULT '';
