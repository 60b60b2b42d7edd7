-- What arrived lately, with the distinct_id that tells a repeated submission. Plain types, right for 18.16 and current.
CREATE TABLE IF NOT EXISTS recent (
    day Date,
    id String,
    run_mode String,
    version String,
    join_type String,
    helper String,
    helper_version String,
    destinations UInt32,
    destinations_database UInt32,
    destinations_kubernetes UInt32,
    destinations_application UInt32
) ENGINE = ReplacingMergeTree() PARTITION BY day ORDER BY (day, id);

-- How often each start happened on each day that is over. Its key is the whole start, so that folding a day of recent
-- into it twice gives the same as doing it once.
CREATE TABLE IF NOT EXISTS starts (
    day Date,
    run_mode String,
    version String,
    join_type String,
    helper String,
    helper_version String,
    destinations UInt32,
    destinations_database UInt32,
    destinations_kubernetes UInt32,
    destinations_application UInt32,
    starts UInt64
) ENGINE = ReplacingMergeTree() PARTITION BY day ORDER BY (
    day, run_mode, version, join_type, helper, helper_version, destinations,
    destinations_database, destinations_kubernetes, destinations_application
);

-- Up to which day recent is folded into starts.
CREATE TABLE IF NOT EXISTS folded (
    day Date
) ENGINE = ReplacingMergeTree() ORDER BY day
