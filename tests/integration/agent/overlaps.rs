//! An agent refuses overlapping destinations itself: its configuration may have been loaded without knowing the process.

use std::os::unix::fs::symlink;

use tbot::agent::AgentError;
use tbot::diagnostic::Code;

use super::fixture::TestCluster;

/// Returns the codes of the overlaps that prevent an agent, with their pointers.
fn overlaps(error: AgentError) -> Vec<(Code, String)> {
    let errors = match error {
        AgentError::Several(errors) => errors,
        error => vec![error],
    };
    let overlap = |error: AgentError| {
        assert!(error.is_configuration() && error.hint().is_some());
        match error {
            AgentError::Overlap(overlap) => (overlap.code, overlap.pointer.to_string()),
            error => panic!("{error:?}"),
        }
    };
    errors.into_iter().map(overlap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_does_not_write_into_its_storage_through_a_link() {
    let fixture = TestCluster::new().await;
    std::fs::create_dir(fixture.storage()).unwrap();
    symlink(fixture.storage(), fixture.path("link")).unwrap();
    let config = fixture.config("20m", &[fixture.output("link"), fixture.output("link/out")]);
    let error = fixture.agent(config).err().unwrap();
    insta::assert_snapshot!(error.to_string());
    let expected = [
        (Code::SameDestination, "/outputs/0/destination/path".to_owned()),
        (Code::NestedDestination, "/outputs/1/destination/path".to_owned()),
    ];
    assert_eq!(overlaps(error), expected);
    assert!(fixture.cluster.requests().is_empty());
}
