//! Empty databases on the ClickHouse servers of a test run. `.ci/clickhouse`, `.ci/chdb` and `.ci/clickhouse-cluster` start
//! the servers, and pass their addresses in variables.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use prehog::store::StoreUrl;

use crate::fixture::wait_to_poll;

/// A cluster of one shard with two replicas, and one of two shards with two replicas each. The servers of the first one are also
/// the first shard of the second one.
pub(crate) const REPLICATED: &str = "replicated";
pub(crate) const SHARDED_AND_REPLICATED: &str = "sharded_and_replicated";

/// Returns the variable that a script sets.
#[expect(clippy::disallowed_methods, reason = "the variable names the servers of the test run")]
fn variable(name: &str, script: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this test with {script}"))
}

/// A database on one server.
pub(crate) struct TestDatabase {
    pub(crate) server: String,
    pub(crate) name: String,
    parameters: &'static str,
}

impl TestDatabase {
    /// Returns a database on Debian's server.
    pub(crate) fn on_clickhouse(name: &str) -> Self {
        Self::empty(variable("PREHOG_TEST_CLICKHOUSE", ".ci/clickhouse"), name)
    }

    /// Returns a database on a current engine.
    pub(crate) fn on_chdb(name: &str) -> Self {
        Self::empty(variable("PREHOG_TEST_CHDB", ".ci/chdb"), name)
    }

    /// Returns a database on a current engine that is the only member of a cluster.
    pub(crate) fn on_chdb_as_cluster(name: &str) -> Self {
        Self { parameters: "?cluster=local", ..Self::on_chdb(&format!("cluster_{name}")) }
    }

    fn empty(server: String, name: &str) -> Self {
        let name = format!("prehog_test_{name}_{}", std::process::id());
        let database = Self { server, name, parameters: "" };
        run(&database.server, &format!("DROP DATABASE IF EXISTS {}", database.name));
        database
    }

    pub(crate) fn url(&self) -> StoreUrl {
        format!("clickhouse:{}/{}{}", self.server, self.name, self.parameters).parse().unwrap()
    }
}

/// Runs a statement on a server, and returns its result.
pub(crate) fn run(server: &str, statement: &str) -> String {
    let agent = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build().new_agent();
    let mut response = agent.post(server).send(statement).unwrap();
    let result = response.body_mut().read_to_string().unwrap();
    assert!(response.status().is_success(), "{statement}: {result}");
    result.trim().to_owned()
}

/// Tests that stop a server have the cluster to themselves.
static CLUSTER_USE: RwLock<()> = RwLock::new(());

/// Databases that earlier tests have left, and their clusters. Emptying one takes less time than making one.
static LEFT: Mutex<Vec<(String, &'static str)>> = Mutex::new(Vec::new());

enum ClusterUse {
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Exclusive(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

/// A database on all servers of a cluster.
pub(crate) struct ClusterDatabase {
    pub(crate) name: String,
    cluster: &'static str,
    directory: PathBuf,
    _use: ClusterUse,
}

/// A server of the clusters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server(&'static str);

/// The replicas of the cluster [`REPLICATED`].
pub(crate) const REPLICAS: [Server; 2] = [Server("1-1"), Server("1-2")];
/// Two halves of the servers of the cluster [`SHARDED_AND_REPLICATED`], each with a replica of each shard.
pub(crate) const HALVES: [[Server; 2]; 2] = [[REPLICAS[0], Server("2-2")], [REPLICAS[1], Server("2-1")]];

impl ClusterDatabase {
    /// Returns an empty database with two replicas. The servers run, and other tests use them at the same time.
    pub(crate) fn replicated() -> Self {
        Self::shared(REPLICATED)
    }

    /// Like `replicated`, with two shards of two replicas each.
    pub(crate) fn sharded_and_replicated() -> Self {
        Self::shared(SHARDED_AND_REPLICATED)
    }

    fn shared(cluster: &'static str) -> Self {
        let guard = CLUSTER_USE.read().unwrap_or_else(PoisonError::into_inner);
        Self::empty(cluster, ClusterUse::Shared(guard))
    }

    /// Returns an empty database on a cluster whose servers no other test uses.
    pub(crate) fn exclusive(cluster: &'static str) -> Self {
        let guard = CLUSTER_USE.write().unwrap_or_else(PoisonError::into_inner);
        Self::empty(cluster, ClusterUse::Exclusive(guard))
    }

    fn empty(cluster: &'static str, guard: ClusterUse) -> Self {
        let directory = variable("PREHOG_TEST_CLUSTER", ".ci/clickhouse-cluster").into();
        let is_usable = |(_, left): &mut (String, &str)| *left == cluster;
        let left = LEFT.lock().unwrap().extract_if(.., is_usable).next();
        let is_new = left.is_none();
        let name = left.map_or_else(unique_name, |(name, _)| name);
        let database = Self { name, cluster, directory, _use: guard };
        // A test that failed may have left a server stopped.
        let mut stopped = HALVES.concat();
        stopped.retain(|server| ping(&database.server(*server), "SELECT 1").is_none());
        database.start(&stopped);
        if is_new {
            drop(database.url().open().unwrap());
            return database;
        }
        for table in ["recent", "ids", "starts", "folded", "maintained_days"] {
            let statement = format!("TRUNCATE TABLE {}.{table}_local ON CLUSTER {cluster}", database.name);
            run(&database.server(REPLICAS[0]), &statement);
        }
        database
    }

    /// Returns the address of a server.
    pub(crate) fn server(&self, server: Server) -> String {
        let address = fs::read_to_string(self.directory.join(server.0).join("address")).unwrap();
        address.trim().to_owned()
    }

    /// Returns the URL of the store, with the first server.
    pub(crate) fn url(&self) -> StoreUrl {
        self.url_of(REPLICAS[0], "")
    }

    /// Returns the URL of the store, with a server and further parameters.
    pub(crate) fn url_of(&self, server: Server, parameters: &str) -> StoreUrl {
        self.url_of_database(&self.name, server, &format!("?cluster={}{parameters}", self.cluster))
    }

    /// Returns the URL of a store with other parameters in another database.
    pub(crate) fn url_of_database(&self, name: &str, server: Server, parameters: &str) -> StoreUrl {
        format!("clickhouse:{}/{name}{parameters}", self.server(server)).parse().unwrap()
    }

    /// Counts the rows of a table on all shards.
    pub(crate) fn count(&self, table: &str) -> u64 {
        let query = format!("SELECT count() FROM {}.{table}", self.name);
        run(&self.server(REPLICAS[0]), &query).parse().unwrap()
    }

    /// Kills servers, and waits until they are gone.
    pub(crate) fn stop(&self, servers: &[Server]) {
        for server in servers {
            let pid = fs::read_to_string(self.directory.join(server.0).join("pid")).unwrap();
            assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
            poll_until("the end of a server", || ping(&self.server(*server), "SELECT 1").is_none());
        }
    }

    /// Starts servers again, and waits until their tables are writable.
    pub(crate) fn start(&self, servers: &[Server]) {
        self.wait_for_end_of_sessions(servers);
        servers.iter().for_each(|server| self.spawn(*server));
        let all_replicas =
            "SELECT max(is_readonly) = 0 AND min(active_replicas = total_replicas) FROM system.replicas";
        for server in servers {
            poll_until("the start of a server", || {
                ping(&self.server(*server), all_replicas).is_some_and(|result| result.trim() == "1")
            });
        }
    }

    fn spawn(&self, server: Server) {
        let directory = self.directory.join(server.0);
        let log = fs::File::options().append(true).open(directory.join("log")).unwrap();
        let mut process = Command::new("clickhouse-server")
            .arg(format!("--config-file={}", directory.join("config.xml").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        // The script that has started the cluster stops this server, too.
        fs::write(directory.join("pid"), process.id().to_string()).unwrap();
        std::thread::spawn(move || process.wait());
    }

    /// Waits until ZooKeeper knows that servers are down. Until then, they are active for the other ones.
    pub(crate) fn wait_for_end_of_sessions(&self, servers: &[Server]) {
        for server in servers {
            poll_until("the end of a session", || !self.has_session(*server));
        }
    }

    /// Returns true if another server finds the session of a server in ZooKeeper.
    fn has_session(&self, server: Server) -> bool {
        let (shard, replica) = server.0.split_once('-').unwrap();
        let query = format!(
            "SELECT count() FROM system.zookeeper WHERE name = 'is_active' \
             AND path = '/clickhouse/tables/{shard}/{}/recent/replicas/{replica}'",
            self.name
        );
        let mut others = HALVES.concat().into_iter().filter(|other| other.0 != server.0);
        others.find_map(|other| ping(&self.server(other), &query)).is_some_and(|count| count.trim() == "1")
    }
}

impl Drop for ClusterDatabase {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            LEFT.lock().unwrap().push((self.name.clone(), self.cluster));
        }
    }
}

/// Returns a name that no database has.
pub(crate) fn unique_name() -> String {
    static NEXT: Mutex<u32> = Mutex::new(0);
    let mut next = NEXT.lock().unwrap();
    *next += 1;
    format!("prehog_test_{}_{next}", std::process::id())
}

/// Returns the result of a query, or `None` if the server does not respond.
fn ping(server: &str, query: &str) -> Option<String> {
    let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
    agent.post(server).send(query).ok()?.body_mut().read_to_string().ok()
}

/// Waits until a condition is true, for at most a minute.
pub(crate) fn poll_until(what: &str, is_true: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what} did not happen");
        wait_to_poll();
    }
}
