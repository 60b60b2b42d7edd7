-- What was stored and is not counted yet: a row for each batch and day. Its position is how many submissions its table has up
-- to it and with it; ids are 16 bytes each, and starts as many lines. Epochs take turns with the two tables: one is written to
-- while the other one is counted and emptied as a whole, which leaves no trace in it.
CREATE TABLE arrived_even (position INTEGER PRIMARY KEY, day INTEGER NOT NULL, ids BLOB NOT NULL, starts TEXT NOT NULL) STRICT;
CREATE TABLE arrived_odd (position INTEGER PRIMARY KEY, day INTEGER NOT NULL, ids BLOB NOT NULL, starts TEXT NOT NULL) STRICT;
-- The epoch that is written to.
CREATE TABLE current (epoch INTEGER NOT NULL) STRICT;
INSERT INTO current (epoch) VALUES (0);
