-- How many migrations the database has: the largest number.
CREATE TABLE IF NOT EXISTS schema_version (
    version UInt32
) ENGINE = ReplacingMergeTree() ORDER BY version
