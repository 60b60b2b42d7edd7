-- Recent submissions, with the distinct_id that identifies repetitions. Only types that 18.16 and current versions share.
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

-- How often each start happened on each complete day. The key is the whole start, so that folding a day of `recent` twice
-- has the same result as folding it once.
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

-- The days of `recent` that are folded into `starts`.
CREATE TABLE IF NOT EXISTS folded (
    day Date
) ENGINE = ReplacingMergeTree() ORDER BY day
