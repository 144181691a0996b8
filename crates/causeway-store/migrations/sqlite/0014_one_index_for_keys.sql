-- One index finds the key of a message and other messages with the same sender's id. Each index of random keys
-- costs a page of the log for nearly every message.

-- The first half of `dedup` is that of sender_id, so that messages with one id stand side by side. Messages
-- without an id keep their keys.
UPDATE inbox SET dedup = CAST(substr(sender_id, 1, 8) || substr(dedup, 9, 8) AS BLOB)
WHERE sender_id IS NOT NULL AND dedup IS NOT NULL;

DROP INDEX inbox_sender_id;
