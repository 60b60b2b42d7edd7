-- The ids of the counted days, without their starts.
CREATE TABLE IF NOT EXISTS ids (
    day Date,
    id String
) ENGINE = ReplacingMergeTree() PARTITION BY day ORDER BY (day, id);

-- The days on which the store was maintained, by the clock of that time.
CREATE TABLE IF NOT EXISTS maintained_days (
    day Date
) ENGINE = ReplacingMergeTree() ORDER BY day
