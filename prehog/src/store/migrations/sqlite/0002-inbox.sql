-- The last epoch of the inbox that is counted here. It is updated in the same transaction as the counts, so that no epoch is
-- counted twice.
CREATE TABLE folded (epoch INTEGER NOT NULL) STRICT;
INSERT INTO folded (epoch) VALUES (0);
