//! Where the tables of a store are: on one server, or on all servers of a cluster. Depends on the HTTP client.
//!
//! On a cluster, every table exists twice. `recent_local` has the rows: it is replicated among the servers of a shard.
//! `recent` has none: it passes what is written and read on to all shards. An id is always on the same shard, so that its
//! repetitions meet there.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::address::{ClickHouseUrl, ClusterParameters};
use super::http::{Http, Setting};
use crate::day::Day;
use crate::store::backend::StoreError;

/// The table of submissions of the last days.
pub(super) const RECENT: &str = "recent";
/// The table of the ids of counted days.
pub(super) const IDS: &str = "ids";
/// The table of counted starts.
pub(super) const STARTS: &str = "starts";
/// The table of the days that are counted.
const FOLDED: &str = "folded";
/// The table of the days on which the store was maintained.
const MAINTAINED_DAYS: &str = "maintained_days";
/// The table that records which migrations the database has.
pub(super) const SCHEMA_VERSION: &str = "schema_version";

/// All tables.
pub(super) const TABLES: [&str; 6] = [RECENT, IDS, STARTS, FOLDED, MAINTAINED_DAYS, SCHEMA_VERSION];

/// How long a change of the schema may take on a cluster, in seconds.
const DDL_TIMEOUT_SECONDS: u64 = 10;

/// By how many seconds a replica that is read may lag behind. All submissions of a day that is counted are older, so
/// none of them is missing.
const MAX_LAG_SECONDS: u64 = 10;

/// How long a statement may take, in seconds. The client waits as long.
const MAX_STATEMENT_SECONDS: u64 = 60;

/// For how many seconds a cluster keeps the submissions of a day that is counted. A receiver that counts the same day at
/// the same time has then finished, and does not see a part of them.
const SETTLE_SECONDS: u64 = 600;

/// How long an insert waits for its quorum, in milliseconds: less than the client waits for the insert.
const QUORUM_TIMEOUT_MS: u64 = 4000;

/// How many replicas must have an event before it is acknowledged, unless a shard has fewer of them.
const DEFAULT_QUORUM: u64 = 2;

/// Where the tables of a store are.
pub(super) struct Layout {
    database: String,
    cluster: Option<Cluster>,
}

/// A cluster that the server knows.
struct Cluster {
    name: String,
    quorum: u64,
    shards: usize,
}

/// A shard of a cluster.
#[derive(Deserialize)]
struct Shard {
    cluster: String,
    replicas: u8,
}

/// The engine of a table.
#[derive(Deserialize)]
struct Engine {
    engine: String,
    engine_full: String,
}

impl Cluster {
    fn find(parameters: &ClusterParameters, http: &Http) -> Result<Self, StoreError> {
        let all: Vec<Shard> = http.system_rows(
            "SELECT cluster, toUInt8(count()) AS replicas FROM system.clusters GROUP BY cluster, shard_num",
        )?;
        let name = parameters.name.clone();
        let shards: Vec<&Shard> = all.iter().filter(|shard| shard.cluster == name).collect();
        let Some(replicas) = shards.iter().map(|shard| u64::from(shard.replicas)).min() else {
            let known: BTreeSet<&str> = all.iter().map(|shard| shard.cluster.as_str()).collect();
            let known: Vec<&str> = known.into_iter().collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(StoreError::UnknownCluster { cluster: name, known });
        };
        let quorum = parameters.quorum.map_or(DEFAULT_QUORUM.min(replicas), u64::from);
        if quorum > replicas {
            return Err(StoreError::QuorumTooLarge { cluster: name, quorum, replicas });
        }
        Ok(Self { name, quorum, shards: shards.len() })
    }
}

impl Layout {
    /// Returns the layout that a URL names.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not know the cluster, if a shard has fewer replicas than the quorum, or if the
    /// tables that exist have another layout.
    pub(super) fn of(url: &ClickHouseUrl, http: &Http) -> Result<Self, StoreError> {
        let cluster = match &url.cluster {
            None => None,
            Some(parameters) => Some(Cluster::find(parameters, http)?),
        };
        let layout = Self { database: url.database().to_owned(), cluster };
        layout.check_existing_tables(http)?;
        Ok(layout)
    }

    fn check_existing_tables(&self, http: &Http) -> Result<(), StoreError> {
        let engines: Vec<Engine> = http.system_rows(&format!(
            "SELECT engine, engine_full FROM system.tables WHERE database = '{}' AND name = '{RECENT}'",
            self.database
        ))?;
        let Some(Engine { engine, engine_full }) = engines.first() else { return Ok(()) };
        let found = (engine == "Distributed").then(|| first_argument(engine_full));
        let expected = self.cluster.as_ref().map(|cluster| cluster.name.as_str());
        match (found, expected) {
            (None, Some(_)) => Err(StoreError::NotOnCluster(self.database.clone())),
            (Some(found), expected) if Some(found) != expected => {
                Err(StoreError::OnOtherCluster { database: self.database.clone(), cluster: found.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Returns the settings of every statement, which have precedence over the profile of the user. An unknown setting is
    /// an error, so only those that the server knows are returned.
    pub(super) fn settings(&self, http: &Http) -> Result<Vec<Setting>, StoreError> {
        #[derive(Deserialize)]
        struct Known {
            name: String,
        }
        let known: Vec<Known> = http.system_rows("SELECT name FROM system.settings")?;
        let is_known = |(name, _): &Setting| known.iter().any(|known| known.name == *name);
        Ok(self.all_settings().into_iter().filter(is_known).collect())
    }

    fn all_settings(&self) -> Vec<Setting> {
        let off = || "0".to_owned();
        let mut settings = vec![
            // An insert returns when its rows are stored, not when they are in a buffer.
            ("async_insert", off()),
            // A repeated batch is stored and waits for its quorum like the first one. The ids identify repetitions.
            ("insert_deduplicate", off()),
            ("deduplicate_insert", "disable".to_owned()),
            ("deduplicate_insert_select", "disable".to_owned()),
            // The log has the time of each insert, and so that of each event. Only its day may be kept.
            ("log_queries", off()),
        ];
        let Some(Cluster { quorum, .. }) = &self.cluster else {
            // Has an effect only if the server has replicas that prehog does not know, as in ClickHouse Cloud.
            settings.push(("select_sequential_consistency", "1".to_owned()));
            return settings;
        };
        settings.extend([
            ("insert_quorum", quorum.to_string()),
            ("insert_quorum_timeout", QUORUM_TIMEOUT_MS.to_string()),
            ("insert_distributed_sync", "1".to_owned()),
            // Newer versions would count each shard on its own.
            ("parallel_distributed_insert_select", off()),
            // A result without some of the rows is wrong.
            ("skip_unavailable_shards", off()),
            ("max_replica_delay_for_distributed_queries", MAX_LAG_SECONDS.to_string()),
            ("fallback_to_stale_replicas_for_distributed_queries", off()),
            // No statement continues for long after the receiver has stopped waiting: see `SETTLE_SECONDS`.
            ("max_execution_time", MAX_STATEMENT_SECONDS.to_string()),
            ("distributed_ddl_task_timeout", DDL_TIMEOUT_SECONDS.to_string()),
            ("distributed_ddl_output_mode", "throw".to_owned()),
        ]);
        settings
    }

    pub(super) fn database(&self) -> &str {
        &self.database
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// Returns the name of the cluster, if any.
    pub(super) fn cluster(&self) -> Option<&str> {
        self.cluster.as_ref().map(|cluster| cluster.name.as_str())
    }

    /// Returns how many servers or groups of replicas have different rows.
    pub(super) fn shards(&self) -> usize {
        self.cluster.as_ref().map_or(1, |cluster| cluster.shards)
    }

    pub(super) fn create_database(&self) -> String {
        format!("CREATE DATABASE IF NOT EXISTS {}{}", self.database, self.on_cluster())
    }

    /// Returns the name of the local table, which has the rows, of a table.
    pub(super) fn local_name(&self, table: &str) -> String {
        if self.cluster.is_some() { format!("{table}_local") } else { table.to_owned() }
    }

    /// Like [`local_name`](Self::local_name), with the name of the database: another server does not know which one the client uses.
    pub(super) fn qualified_local_name(&self, table: &str) -> String {
        format!("{}.{}", self.database, self.local_name(table))
    }

    fn on_cluster(&self) -> String {
        self.cluster().map_or_else(String::new, |name| format!(" ON CLUSTER `{name}`"))
    }

    /// Returns the beginning of a statement that changes a table. The replicas of a shard pass the change on, even to one that
    /// is down, so `ON CLUSTER` is only for other shards.
    fn alter(&self, table: &str) -> String {
        let on_cluster = if self.shards() > 1 { self.on_cluster() } else { String::new() };
        format!("ALTER TABLE {}{on_cluster}", self.qualified_local_name(table))
    }

    /// Returns what a statement of a migration is in this layout. It creates or alters a table.
    pub(super) fn migration(&self, statement: &str) -> String {
        const CREATE: &str = "CREATE TABLE IF NOT EXISTS ";
        let (create, rest) = match statement.strip_prefix(CREATE) {
            Some(rest) => (true, rest),
            None => (false, statement.trim_start_matches("ALTER TABLE ")),
        };
        let (table, rest) = rest.split_once(' ').unwrap_or_default();
        if !create {
            return format!("{} {rest}", self.alter(table));
        }
        let mut rest = rest.to_owned();
        if self.is_cluster() {
            let path = format!("/clickhouse/tables/{{shard}}/{}/{table}", self.database);
            let engine = format!("ENGINE = ReplicatedReplacingMergeTree('{path}', '{{replica}}')");
            rest = rest.replace("ENGINE = ReplacingMergeTree()", &engine);
        }
        format!("{CREATE}{}{} {rest}", self.qualified_local_name(table), self.on_cluster())
    }

    /// Returns the statement that drops a distributed table, which has no rows.
    pub(super) fn drop_distributed(&self, table: &str) -> String {
        format!("DROP TABLE IF EXISTS {}.{table}{}", self.database, self.on_cluster())
    }

    /// Returns the statement that creates a distributed table with these definitions of columns.
    pub(super) fn create_distributed(&self, table: &str, columns: &[String]) -> String {
        let first = columns.first().and_then(|column| column.split(' ').next()).unwrap_or_default();
        let key = if [RECENT, IDS].contains(&table) { "id" } else { first };
        format!(
            "CREATE TABLE IF NOT EXISTS {database}.{table}{on_cluster} ({columns}) \
             ENGINE = Distributed('{cluster}', '{database}', '{local_name}', cityHash64({key}))",
            database = self.database,
            on_cluster = self.on_cluster(),
            columns = columns.join(", "),
            cluster = self.cluster().unwrap_or_default(),
            local_name = self.local_name(table),
        )
    }

    pub(super) fn drop_day(&self, table: &str, day: Day) -> String {
        format!("{} DROP PARTITION ID '{}'", self.alter(table), day.to_string().replace('-', ""))
    }

    /// Selects the days that were counted long enough ago for their submissions to be dropped.
    pub(super) fn settled_days(&self) -> String {
        let seconds = if self.cluster.is_some() { SETTLE_SECONDS } else { 0 };
        format!("SELECT DISTINCT day FROM {FOLDED} WHERE counted_at <= now() - {seconds}")
    }

    /// Returns a condition that is true, and fails on a replica that lags behind. Servers choose a replica by the lag of
    /// the table that is read, and ignore that of other tables in the statement.
    pub(super) fn up_to_date_condition(&self) -> String {
        let Some(_) = self.cluster else { return "1".to_owned() };
        format!(
            "0 IN (SELECT throwIf(max(absolute_delay) >= {MAX_LAG_SECONDS}) FROM system.replicas \
             WHERE database = '{}' AND table IN ('{}', '{}'))",
            self.database,
            self.local_name(RECENT),
            self.local_name(IDS),
        )
    }

    /// Counts the shards on which the local table of a table has a column.
    pub(super) fn shards_with_column(&self, table: &str, column: &str) -> String {
        format!(
            "SELECT count() AS total FROM {} WHERE database = '{}' AND table = '{}' AND name = '{column}'",
            self.system_table("columns"),
            self.database,
            self.local_name(table),
        )
    }

    /// Selects the disk space that the database uses, on one replica of each shard.
    pub(super) fn size(&self) -> String {
        format!(
            "SELECT sum(bytes_on_disk) AS total FROM {} WHERE database = '{}' AND active",
            self.system_table("parts"),
            self.database,
        )
    }

    /// Selects nothing, and fails if the server does not respond, or if a cluster has no quorum of writable replicas.
    pub(super) fn probe(&self) -> String {
        let Some(Cluster { quorum, .. }) = &self.cluster else {
            return format!("SELECT id FROM {RECENT} LIMIT 0");
        };
        format!(
            "SELECT throwIf(count() = 0 OR max(is_readonly) = 1 OR min(active_replicas) < {quorum}) AS is_down \
             FROM {} WHERE database = '{}' AND table = '{}'",
            self.system_table("replicas"),
            self.database,
            self.local_name(RECENT),
        )
    }

    /// Returns a system table: that of this server, or those of one replica of each shard.
    fn system_table(&self, table: &str) -> String {
        match self.cluster() {
            None => format!("system.{table}"),
            Some(name) => format!("cluster('{name}', system, {table})"),
        }
    }
}

/// Returns the first argument of an engine, without quotes.
fn first_argument(engine: &str) -> &str {
    let (_, arguments) = engine.split_once('(').unwrap_or_default();
    arguments.split([',', ')']).next().unwrap_or_default().trim_matches(['\'', '`', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrations;

    #[test]
    fn the_query_log_is_off_for_every_statement() {
        let cluster = Cluster { name: "c".to_owned(), quorum: 2, shards: 1 };
        for cluster in [None, Some(cluster)] {
            let layout = Layout { database: "db".to_owned(), cluster };
            assert!(layout.all_settings().contains(&("log_queries", "0".to_owned())));
        }
    }

    /// A table that were not replicated would have other rows on each server.
    #[test]
    fn every_table_of_a_cluster_is_replicated_on_all_servers() {
        let mut created = BTreeSet::new();
        for shards in [1, 2] {
            let cluster = Cluster { name: "c".to_owned(), quorum: 2, shards };
            let layout = Layout { database: "db".to_owned(), cluster: Some(cluster) };
            for statement in migrations::clickhouse_statements() {
                let on_cluster = layout.migration(&statement);
                let words: Vec<&str> = on_cluster.split(' ').collect();
                if let ["CREATE", "TABLE", "IF", "NOT", "EXISTS", table, "ON", "CLUSTER", "`c`", ..] =
                    words[..]
                {
                    let table = table.strip_prefix("db.").unwrap().strip_suffix("_local").unwrap();
                    let engine = format!(
                        "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{{shard}}/db/{table}', '{{replica}}')"
                    );
                    assert_eq!(on_cluster.matches("ENGINE").count(), 1);
                    assert!(on_cluster.contains(&engine), "{on_cluster}");
                    created.insert(table.to_owned());
                } else {
                    assert!(matches!(words[..], ["ALTER", "TABLE", ..]), "{on_cluster}");
                    assert!(words[2].starts_with("db.") && words[2].ends_with("_local"), "{on_cluster}");
                    assert_eq!(words[3..6] == ["ON", "CLUSTER", "`c`"], shards > 1, "{on_cluster}");
                }
            }
        }
        assert_eq!(created, TABLES.map(str::to_owned).into());
    }
}
