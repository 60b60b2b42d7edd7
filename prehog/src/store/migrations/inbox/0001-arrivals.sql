-- What was stored and is not counted yet, in the order in which it came. Epochs take turns with the two tables: one is
-- written to while the other one is counted and emptied as a whole, which leaves no trace in it.
CREATE TABLE arrived_even (day INTEGER NOT NULL, id BLOB NOT NULL, start TEXT NOT NULL) STRICT;
CREATE TABLE arrived_odd (day INTEGER NOT NULL, id BLOB NOT NULL, start TEXT NOT NULL) STRICT;
-- The epoch that is written to.
CREATE TABLE current (epoch INTEGER NOT NULL) STRICT;
INSERT INTO current (epoch) VALUES (0);
