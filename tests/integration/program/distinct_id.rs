//! The `distinctId` is random in every free bit, so that it identifies neither a machine nor a process.

use super::fake_server::FakeServer;
use super::fixture::{FAILING_START, Telemetry, tbot};

/// The number of starts. A random bit has the same value in all of them once in 2⁴⁷ runs.
const STARTS: usize = 48;

/// The bits of a UUID v4 that are not fixed: all but the version and the variant.
const FREE_BITS: u128 = !(0xF << 76 | 0b11 << 62);

#[test]
fn every_free_bit_of_the_id_varies_between_processes() {
    let server = FakeServer::ok();
    let arguments = [&FAILING_START[..], &["--anonymous-telemetry-opt-in"]].concat();
    for _ in 0..STARTS {
        tbot(Telemetry::Server(&server), &arguments).run();
    }
    let ids: Vec<u128> = server
        .requests()
        .iter()
        .map(|request| {
            let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
            body["distinctId"].as_str().unwrap().parse::<uuid::Uuid>().unwrap().as_u128()
        })
        .collect();
    assert_eq!(ids.len(), STARTS);
    let sometimes_1 = ids.iter().fold(0, |bits, id| bits | id);
    let always_1 = ids.iter().fold(u128::MAX, |bits, id| bits & id);
    assert_eq!(sometimes_1 & !always_1, FREE_BITS, "bits that are the same in {STARTS} processes are 0");
}
