-- The distinct_ids of three days, in a table for each remainder of the number of the day when it is divided by 3. A day ends
-- before the next one with the same remainder begins, so a table is only ever emptied when its day has expired, and not because
-- a submission has a later day: the clock may be wrong.
CREATE TABLE ids_0 (id BLOB PRIMARY KEY) WITHOUT ROWID, STRICT;
CREATE TABLE ids_1 (id BLOB PRIMARY KEY) WITHOUT ROWID, STRICT;
CREATE TABLE ids_2 (id BLOB PRIMARY KEY) WITHOUT ROWID, STRICT;
-- The latest day of the ids in each table.
CREATE TABLE ids_day (remainder INTEGER PRIMARY KEY, day INTEGER NOT NULL) STRICT;
INSERT INTO ids_day (remainder, day) SELECT column1, COALESCE((SELECT MAX(day) FROM ids_of WHERE day % 3 = column1), column1) FROM (VALUES (0), (1), (2));
INSERT INTO ids_0 SELECT id FROM ids_even WHERE EXISTS (SELECT 1 FROM ids_of WHERE parity = 0 AND day % 3 = 0)
    UNION SELECT id FROM ids_odd WHERE EXISTS (SELECT 1 FROM ids_of WHERE parity = 1 AND day % 3 = 0);
INSERT INTO ids_1 SELECT id FROM ids_even WHERE EXISTS (SELECT 1 FROM ids_of WHERE parity = 0 AND day % 3 = 1)
    UNION SELECT id FROM ids_odd WHERE EXISTS (SELECT 1 FROM ids_of WHERE parity = 1 AND day % 3 = 1);
INSERT INTO ids_2 SELECT id FROM ids_even WHERE EXISTS (SELECT 1 FROM ids_of WHERE parity = 0 AND day % 3 = 2)
    UNION SELECT id FROM ids_odd WHERE EXISTS (SELECT 1 FROM ids_of WHERE parity = 1 AND day % 3 = 2);
DROP TABLE ids_even;
DROP TABLE ids_odd;
DROP TABLE ids_of;

-- The days on which the store was maintained, by the clock of that time.
CREATE TABLE maintained_days (day INTEGER PRIMARY KEY) STRICT;
