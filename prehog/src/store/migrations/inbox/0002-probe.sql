-- Always empty: a check that the file is writable inserts a row and removes it.
CREATE TABLE probe (data BLOB NOT NULL) STRICT;
