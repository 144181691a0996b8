-- Sorted as `claim` reads it. With an index that has to be sorted after it was read, SQLite walked all waiting
-- deliveries instead to find those few that are withdrawals.
DROP INDEX delivery_withdrawal;
CREATE INDEX delivery_withdrawal ON delivery (destination_id, due_at, id, contact_id)
    WHERE state = 'waiting' AND kind = 'withdrawal';
