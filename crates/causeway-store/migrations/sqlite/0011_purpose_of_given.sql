-- The purpose of the destination when it was given the contact; '' = its present purpose.
ALTER TABLE given ADD COLUMN purpose TEXT NOT NULL DEFAULT '';
