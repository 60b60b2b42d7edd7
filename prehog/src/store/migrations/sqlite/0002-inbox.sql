-- Which of the inbox's epochs is the last one that is counted here: written with what it adds to the tables above, so that
-- none is counted twice.
CREATE TABLE folded (epoch INTEGER NOT NULL) STRICT;
INSERT INTO folded (epoch) VALUES (0);
