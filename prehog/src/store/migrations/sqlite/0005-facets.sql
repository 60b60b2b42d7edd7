-- The facets that `tallies` counts. All starts are counted again if a program has other ones.
CREATE TABLE facets (name TEXT PRIMARY KEY) WITHOUT ROWID, STRICT;
