-- What was stored and is not counted yet, in the order in which it came: the one table that an event is written to before
-- it is acknowledged. Counting moves its ids to the tables of ids and its starts to starts and tallies, and empties it.
CREATE TABLE journal (
    position INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    day INTEGER NOT NULL,
    run_mode TEXT NOT NULL,
    version TEXT NOT NULL,
    join_type TEXT NOT NULL,
    helper TEXT NOT NULL,
    helper_version TEXT NOT NULL,
    destinations INTEGER NOT NULL,
    destinations_database INTEGER NOT NULL,
    destinations_kubernetes INTEGER NOT NULL,
    destinations_application INTEGER NOT NULL
) STRICT;
