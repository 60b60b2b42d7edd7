-- How often each start happened on each day. The key is the whole start, so nothing distinguishes two equal starts.
CREATE TABLE starts (
    day INTEGER NOT NULL,
    run_mode TEXT NOT NULL,
    version TEXT NOT NULL,
    join_type TEXT NOT NULL,
    helper TEXT NOT NULL,
    helper_version TEXT NOT NULL,
    destinations INTEGER NOT NULL,
    destinations_database INTEGER NOT NULL,
    destinations_kubernetes INTEGER NOT NULL,
    destinations_application INTEGER NOT NULL,
    starts INTEGER NOT NULL,
    PRIMARY KEY (
        day, run_mode, version, join_type, helper, helper_version, destinations,
        destinations_database, destinations_kubernetes, destinations_application
    )
) WITHOUT ROWID, STRICT;

-- The same counts by facet, updated as starts arrive. Reports read this table.
CREATE TABLE tallies (
    day INTEGER NOT NULL,
    facet TEXT NOT NULL,
    value TEXT NOT NULL,
    starts INTEGER NOT NULL,
    PRIMARY KEY (day, facet, value)
) WITHOUT ROWID, STRICT;

-- The distinct_ids of two days, in one table for the even day and one for the odd day. Emptying a whole table leaves no removed
-- data in it.
CREATE TABLE ids_even (id BLOB PRIMARY KEY) WITHOUT ROWID, STRICT;
CREATE TABLE ids_odd (id BLOB PRIMARY KEY) WITHOUT ROWID, STRICT;
CREATE TABLE ids_of (parity INTEGER PRIMARY KEY, day INTEGER NOT NULL) STRICT;
INSERT INTO ids_of (parity, day) VALUES (0, 0), (1, 1);
