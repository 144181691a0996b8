PRAGMA journal_mode = WAL;
CREATE TABLE contact (
    id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, foreign_id TEXT, phone TEXT, profile_url TEXT, score TEXT, label TEXT
);
CREATE TABLE detail (contact_id INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT, value TEXT, at TEXT);
