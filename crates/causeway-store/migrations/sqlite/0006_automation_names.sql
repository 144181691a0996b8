-- Names of automations, and the small numbers that explanations (event.automations) hold in their place.
CREATE TABLE automation_name (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
