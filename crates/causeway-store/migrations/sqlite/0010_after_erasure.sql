-- Messages dated after an erasure make new contacts.

-- The newest opt-out that came after the erasure and was turned away: an earlier opt-in does not count.
ALTER TABLE erased ADD COLUMN opted_out_at INTEGER;

-- erase: a message that became no event may name anybody.
CREATE INDEX inbox_unread ON inbox (id) WHERE state = 'dead' OR state = 'skipped' OR state = 'duplicate';

-- Messages that name an erased person: 'after_erasure' was turned away, 'erasing' waits for the end of the
-- erasure.
CREATE INDEX inbox_after_erasure ON inbox (code, source_id, processed_at) WHERE code = 'after_erasure' OR code = 'erasing';
