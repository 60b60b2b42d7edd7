//! Whatever the environment, a profile or the cluster says, no secret is in an error, and nothing that is accepted adds a
//! line to the request that is signed. Tests only.

use proptest::prelude::*;

use super::*;
use crate::agent::malformed_input::{CASES, damages, spoilt};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE//session+token==";

/// What is found with these variables; nobody is asked anything.
fn prove(variables: &[(&str, &str)]) -> Result<Aws, String> {
    let off = ("AWS_EC2_METADATA_DISABLED", "true");
    let environment = variables.iter().copied().chain([off]).collect();
    let onboarding = Onboarding::default();
    let prover = Prover::new(JoinMethod::Iam, &onboarding, &environment, &Clock::system()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(prover.prove()) {
        Ok(Proof::Cloud(Cloud::Aws(aws))) => Ok(aws),
        Ok(_) => panic!("another proof"),
        Err(error) => Err(error.to_string()),
    }
}

/// The request has the lines that it always has, and says what the challenge is.
fn assert_whole(aws: &Aws, challenge: &Challenge) -> Result<(), TestCaseError> {
    let request = aws.sts_request(challenge, std::time::UNIX_EPOCH).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    prop_assert_eq!(body, "Action=GetCallerIdentity&Version=2011-06-15");
    let names: Vec<_> = head.split("\r\n").skip(1).map(|line| line.split(": ").next().unwrap()).collect();
    let expected = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "x-amz-date",
        "x-amz-security-token",
        "x-teleport-challenge",
        "authorization",
    ];
    let expected =
        expected.into_iter().filter(|name| names.contains(name) || *name != "x-amz-security-token");
    prop_assert_eq!(&names, &expected.collect::<Vec<_>>());
    prop_assert!(!head.replace("\r\n", "").contains(['\r', '\n']), "{head:?}");
    let line = format!("x-teleport-challenge: {}\r\n", challenge.as_str());
    prop_assert!(head.contains(&line), "{head}");
    Ok(())
}

fn assert_keeps_secrets(error: &str) -> Result<(), TestCaseError> {
    for part in [SECRET, TOKEN].iter().flat_map(|secret| secret.as_bytes().chunks_exact(8)) {
        prop_assert!(!error.contains(std::str::from_utf8(part).unwrap()), "{error}");
    }
    prop_assert!(!error.is_empty() && !error.contains('\n'), "{error}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn a_profile_is_read_or_refused(of_config in damages(), of_credentials in damages()) {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".aws");
        std::fs::create_dir(&folder).unwrap();
        let config = "[default]\nregion = eu-central-1\n[profile a]\nrole_arn = b\n";
        let keys = format!(
            "[default]\naws_access_key_id = AKID\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n"
        );
        std::fs::write(folder.join("config"), spoilt(config.as_bytes(), &of_config)).unwrap();
        std::fs::write(folder.join("credentials"), spoilt(keys.as_bytes(), &of_credentials)).unwrap();
        match prove(&[("HOME", home.path().to_str().unwrap())]) {
            Ok(aws) => assert_whole(&aws, &Challenge::new("a+b/c".to_owned()).unwrap())?,
            Err(error) => assert_keeps_secrets(&error)?,
        }
    }

    #[test]
    fn the_environment_is_taken_or_refused(
        id in damages(), secret in damages(), token in damages(), region in damages(), challenge in ".{0,40}",
    ) {
        let spoil = |text: &str, damages: &[_]| {
            String::from_utf8_lossy(&spoilt(text.as_bytes(), damages)).into_owned()
        };
        let found = prove(&[
            ("AWS_ACCESS_KEY_ID", &spoil("AKIDEXAMPLE", &id)),
            ("AWS_SECRET_ACCESS_KEY", &spoil(SECRET, &secret)),
            ("AWS_SESSION_TOKEN", &spoil(TOKEN, &token)),
            ("AWS_REGION", &spoil("eu-central-1", &region)),
        ]);
        let challenge = Challenge::new(challenge).or_else(|_| Challenge::new("a+b/c".to_owned())).unwrap();
        match found {
            Ok(aws) => assert_whole(&aws, &challenge)?,
            Err(error) => assert_keeps_secrets(&error)?,
        }
    }
}
