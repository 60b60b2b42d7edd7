-- Submissions that are stored but not yet counted: one row per batch and day. `position` is the number of submissions in the
-- table up to and including the row, `ids` has 16 bytes per submission, and `starts` has one line per submission. Epochs
-- alternate between the two tables: one is written to while the other one is counted and then emptied as a whole, so that no
-- removed data remains in it.
CREATE TABLE arrived_even (position INTEGER PRIMARY KEY, day INTEGER NOT NULL, ids BLOB NOT NULL, starts TEXT NOT NULL) STRICT;
CREATE TABLE arrived_odd (position INTEGER PRIMARY KEY, day INTEGER NOT NULL, ids BLOB NOT NULL, starts TEXT NOT NULL) STRICT;
-- The epoch that submissions are appended to.
CREATE TABLE current (epoch INTEGER NOT NULL) STRICT;
INSERT INTO current (epoch) VALUES (0);
