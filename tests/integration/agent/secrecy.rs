//! No token and no private key is in any line that any crate logs, however verbose.

use tbot_cluster::method;

use super::lab::{Lab, listen, read};

#[tokio::test]
async fn no_token_and_no_key_is_logged() {
    let (log, _listening) = listen();
    let lab = Lab::new().await;
    let mut keys = Vec::new();
    lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap();
    keys.extend([lab.storage(), lab.path("out")].map(|folder| read(&folder.join("key"))));
    lab.cluster.drop_reply(method::GENERATE_USER_CERTS);
    lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap_err();
    lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap();
    keys.push(read(&lab.path("out").join("key")));

    let text = log.text();
    assert!(text.contains("INFO tbot::agent") && text.contains("ERROR tbot::agent"), "the agent was heard");
    assert!(!text.contains(&lab.token));
    for key in keys {
        // The first full line of the key's body.
        let body = key.lines().nth(1).unwrap();
        assert!(!text.contains(body), "{body}");
    }
}
