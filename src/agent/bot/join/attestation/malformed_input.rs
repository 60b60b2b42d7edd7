//! Property tests with damaged environment variables, profiles and challenges: errors never contain a secret, and no
//! accepted value adds a line to the signed request.

use proptest::prelude::*;

use super::*;
use crate::agent::malformed_input::{CASES, mutate, mutations};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE//session+token==";

/// Obtains an AWS attestation from these variables only, without any request.
fn attest(variables: &[(&str, &str)]) -> Result<AwsAttestation, String> {
    let without_ec2 = ("AWS_EC2_METADATA_DISABLED", "true");
    let environment = variables.iter().copied().chain([without_ec2]).collect();
    let onboarding = Onboarding::default();
    let attestor = Attestor::new(JoinMethod::Iam, &onboarding, &environment, &Clock::system()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(attestor.attest()) {
        Ok(Attestation::Cloud(cloud)) => match *cloud {
            CloudAttestation::Aws(aws) => Ok(aws),
            CloudAttestation::Azure(_) => panic!("not an AWS attestation"),
        },
        Ok(Attestation::IdToken(_)) => panic!("an ID token"),
        Err(error) => Err(error.to_string()),
    }
}

/// Asserts that the signed request has exactly the expected lines, one of which is the challenge.
fn assert_well_formed(aws: &AwsAttestation, challenge: &Challenge) -> Result<(), TestCaseError> {
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

fn assert_contains_no_secret(error: &str) -> Result<(), TestCaseError> {
    for part in [SECRET, TOKEN].iter().flat_map(|secret| secret.as_bytes().chunks_exact(8)) {
        prop_assert!(!error.contains(std::str::from_utf8(part).unwrap()), "{error}");
    }
    prop_assert!(!error.is_empty() && !error.contains('\n'), "{error}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn a_damaged_profile_is_read_or_refused(config_mutations in mutations(), credentials_mutations in mutations()) {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join(".aws");
        std::fs::create_dir(&directory).unwrap();
        let config = "[default]\nregion = eu-central-1\n[profile a]\nrole_arn = b\n";
        let credentials = format!(
            "[default]\naws_access_key_id = AKID\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n"
        );
        std::fs::write(directory.join("config"), mutate(config.as_bytes(), &config_mutations)).unwrap();
        let credentials = mutate(credentials.as_bytes(), &credentials_mutations);
        std::fs::write(directory.join("credentials"), credentials).unwrap();
        match attest(&[("HOME", home.path().to_str().unwrap())]) {
            Ok(aws) => assert_well_formed(&aws, &Challenge::new("a+b/c".to_owned()).unwrap())?,
            Err(error) => assert_contains_no_secret(&error)?,
        }
    }

    #[test]
    fn damaged_environment_variables_are_accepted_or_refused(
        id in mutations(), secret in mutations(), token in mutations(), region in mutations(), challenge in ".{0,40}",
    ) {
        let damaged = |value: &str, mutations: &[_]| {
            String::from_utf8_lossy(&mutate(value.as_bytes(), mutations)).into_owned()
        };
        let attestation = attest(&[
            ("AWS_ACCESS_KEY_ID", &damaged("AKIDEXAMPLE", &id)),
            ("AWS_SECRET_ACCESS_KEY", &damaged(SECRET, &secret)),
            ("AWS_SESSION_TOKEN", &damaged(TOKEN, &token)),
            ("AWS_REGION", &damaged("eu-central-1", &region)),
        ]);
        let challenge = Challenge::new(challenge).or_else(|_| Challenge::new("a+b/c".to_owned())).unwrap();
        match attestation {
            Ok(aws) => assert_well_formed(&aws, &challenge)?,
            Err(error) => assert_contains_no_secret(&error)?,
        }
    }
}
