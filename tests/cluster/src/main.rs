//! Runs a development cluster with one bot from the command line until interrupted, and prints how to reach it.
//!
//! ```text
//! cargo run -p tbot-cluster -- <file for the web CA>
//! ```

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use tbot_cluster::{Cluster, ClusterConfig, clock};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let ca_file = std::env::args_os().nth(1).filter(|name| !name.to_string_lossy().starts_with('-'));
    let ca_file = PathBuf::from(ca_file.context("usage: tbot-cluster <file for the web CA>")?);
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await?;
    let token = cluster.add_bot("robot", &["access"])?;
    std::fs::write(&ca_file, cluster.web_ca_pem())
        .with_context(|| format!("could not write {}", ca_file.display()))?;

    let (addr, name) = (cluster.proxy_addr(), cluster.name());
    let ca_file = ca_file.display();
    let (auth_addr, pins) = (cluster.auth_addr(), cluster.ca_pins()?.join(", "));
    writeln!(
        std::io::stdout(),
        "cluster        {name}\nproxy_server   {addr}\nSSL_CERT_FILE  {ca_file}\nauth_server    {auth_addr}\nca_pins        {pins}\ntoken          {token}"
    )?;
    tokio::signal::ctrl_c().await.context("could not wait for an interrupt")
}
