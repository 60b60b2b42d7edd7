//! Reads an access key and a region from a profile in AWS's shared files, `~/.aws/config` and `~/.aws/credentials`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::credentials::{AWS_CREDENTIALS, AwsCredentials};
use super::region::Region;
use crate::agent::bot::join::attestation::error::{AttestationError, MAX_BYTES, RequestContext, TOO_LARGE};
use crate::agent::bot::join::attestation::local::read_file_blocking;
use crate::agent::platform::{Environment, Hint};

/// The context of a file that cannot be read: it may contain either.
const CREDENTIALS_AND_REGION: RequestContext = RequestContext {
    item: "AWS credentials and region",
    hint: "make the file readable, or set the credentials and AWS_REGION in the environment",
};

/// Properties that configure credentials in a form other than an access key, and the name of that form.
const UNSUPPORTED: [(&str, &str); 7] = [
    ("role_arn", "an assumed role"),
    ("credential_process", "a process"),
    ("credential_source", "another source"),
    ("web_identity_token_file", "a web identity"),
    ("sso_session", "single sign-on"),
    ("sso_start_url", "single sign-on"),
    ("login_session", "a console login"),
];

const NO_SUCH_PROFILE: &str = "neither AWS's config file nor its credentials file defines this profile";
const INCOMPLETE_KEY: &str = "set both aws_access_key_id and aws_secret_access_key, or neither";

/// The properties of a profile in both files. Those in the credentials file take precedence.
#[derive(Default)]
pub(super) struct Profile {
    /// The name, such as `profile 'default'`, for errors.
    location: String,
    properties: BTreeMap<String, String>,
}

impl Profile {
    /// Reads the profile that the environment selects. Blocks.
    ///
    /// A missing file counts as empty, unless the environment names it.
    pub(super) fn read(environment: &Environment) -> Result<Self, AttestationError> {
        let selected = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].iter().find_map(|name| environment.get(name));
        let name = selected.unwrap_or("default");
        let config = read_shared_file(environment, "AWS_CONFIG_FILE", "config")?;
        let credentials = read_shared_file(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials")?;
        let in_config = parse_section(&config, |header| {
            header.strip_prefix("profile ").map(str::trim) == Some(name)
                || (name == "default" && header == name)
        });
        let in_credentials = parse_section(&credentials, |header| header == name);
        let location = format!("profile '{name}'");
        if selected.is_some() && in_config.is_none() && in_credentials.is_none() {
            return Err(AWS_CREDENTIALS.malformed(location, NO_SUCH_PROFILE));
        }
        let mut properties = in_config.unwrap_or_default();
        properties.extend(in_credentials.unwrap_or_default());
        Ok(Self { location, properties })
    }

    /// Returns the credentials of the profile, or `None` if it configures none.
    pub(super) fn credentials(&self) -> Result<Option<AwsCredentials>, AttestationError> {
        let get = |name: &str| self.properties.get(name).map(String::as_str);
        let unsupported = UNSUPPORTED.iter().find(|(name, _)| self.properties.contains_key(*name));
        match (get("aws_access_key_id"), get("aws_secret_access_key"), unsupported) {
            // An assumed role takes precedence over the access key that it is assumed with.
            (Some(id), Some(secret), unsupported)
                if unsupported.is_none_or(|(name, _)| *name != "role_arn") =>
            {
                AwsCredentials::new(id, secret, get("aws_session_token"), &self.location).map(Some)
            }
            (_, _, Some((_, mechanism))) => Err(AttestationError::Unsupported {
                location: self.location.clone(),
                item: AWS_CREDENTIALS.item,
                mechanism,
                hint: Hint::new(AWS_CREDENTIALS.hint),
            }),
            (None, None, None) => Ok(None),
            (_, _, None) => Err(AWS_CREDENTIALS.malformed(self.location.clone(), INCOMPLETE_KEY)),
        }
    }

    pub(super) fn region(&self) -> Result<Option<Region>, AttestationError> {
        let region = self.properties.get("region");
        region.map(|region| Region::parse(region, &self.location)).transpose()
    }
}

/// Reads the shared file at the path in `variable`, else `~/.aws/{name}`. If the latter is missing, it counts as empty.
fn read_shared_file(
    environment: &Environment,
    variable: &str,
    name: &str,
) -> Result<String, AttestationError> {
    let configured = environment.get(variable).map(PathBuf::from);
    let is_configured = configured.is_some();
    let default = || environment.get("HOME").map(|home| Path::new(home).join(".aws").join(name));
    let Some(path) = configured.or_else(default) else { return Ok(String::new()) };
    match read_file_blocking(&path) {
        Ok(content) if content.len() > MAX_BYTES => {
            Err(AWS_CREDENTIALS.malformed(path.display().to_string(), TOO_LARGE))
        }
        Ok(content) => Ok(content),
        Err(error) if error.kind() == ErrorKind::NotFound && !is_configured => Ok(String::new()),
        Err(error) => Err(CREDENTIALS_AND_REGION.unreadable(path, error)),
    }
}

/// Returns the properties of all sections whose header (without brackets) matches, or `None` if there is no such
/// section.
///
/// Skips indented lines: they continue the property before them, and the agent uses no property that spans lines.
fn parse_section(content: &str, matches: impl Fn(&str) -> bool) -> Option<BTreeMap<String, String>> {
    let mut properties: Option<BTreeMap<String, String>> = None;
    let mut is_in_section = false;
    for line in content.lines() {
        if line.starts_with(['#', ';', ' ', '\t']) {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or_default();
            is_in_section = matches(header.trim());
            if is_in_section {
                properties.get_or_insert_default();
            }
        } else if let (true, Some(properties), Some((name, value))) =
            (is_in_section, &mut properties, line.split_once('='))
        {
            let value = value.split(" #").next().unwrap_or_default();
            let value = value.split(" ;").next().unwrap_or_default().trim();
            if !value.is_empty() {
                properties.insert(name.trim().to_lowercase(), value.to_owned());
            }
        }
    }
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
[default]
region = eu-central-1 # where we are
s3 =
  region = nowhere-1
; a comment
[profile deploy]
region=us-east-1
aws_access_key_id = OFCONFIG
aws_secret_access_key = hunter2
[profile sso]
sso_session = corporate
[profile assumed]
role_arn = arn:aws:iam::123456789012:role/deploy
source_profile = deploy
aws_access_key_id = AKID
aws_secret_access_key = hunter2
[profile process]
credential_process = /bin/hunter2
[profile half]
aws_access_key_id = AKID
[services other]
region = nowhere-2
";
    const CREDENTIALS: &str = "\
[default]
AWS_ACCESS_KEY_ID = AKID
aws_secret_access_key = hunter1
aws_session_token = session
[deploy]
aws_access_key_id = OFCREDENTIALS
aws_secret_access_key = hunter3
[profile odd]
aws_access_key_id = AKID
";

    /// Returns the values of a profile's credentials, joined by spaces, and its region.
    fn read(name: Option<&str>) -> Result<(Option<String>, Option<String>), AttestationError> {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join(".aws");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("config"), CONFIG).unwrap();
        std::fs::write(directory.join("credentials"), CREDENTIALS).unwrap();
        let mut variables = vec![("HOME", home.path().to_str().unwrap())];
        variables.extend(name.map(|name| ("AWS_PROFILE", name)));
        let profile = Profile::read(&variables.into_iter().collect())?;
        let (credentials, region) = (profile.credentials()?, profile.region()?);
        Ok((
            credentials.map(|credentials| credentials.values().collect::<Vec<_>>().join(" ")),
            region.map(|region| region.as_str().to_owned()),
        ))
    }

    #[test]
    fn a_profile_combines_both_files() {
        let some = |value: &str| Some(value.to_owned());
        let default = (some("AKID hunter1 session"), some("eu-central-1"));
        assert_eq!(read(None).unwrap(), default);
        assert_eq!(read(Some("default")).unwrap(), default);
        assert_eq!(read(Some("deploy")).unwrap(), (some("OFCREDENTIALS hunter3"), some("us-east-1")));
    }

    #[test]
    fn the_error_names_an_unsupported_incomplete_or_missing_profile() {
        for (name, expected) in [
            ("sso", "single sign-on"),
            ("assumed", "an assumed role"),
            ("process", "a process"),
            ("half", INCOMPLETE_KEY),
            ("odd", NO_SUCH_PROFILE),
            ("elsewhere", NO_SUCH_PROFILE),
        ] {
            let error = read(Some(name)).unwrap_err();
            let message = error.to_string();
            assert!(!message.contains("hunter") && !message.contains("AKID"), "{message}");
            let (location, reason) = match error {
                AttestationError::Unsupported { location, mechanism, .. } => (location, mechanism),
                AttestationError::Malformed { location, problem, .. } => (location, problem),
                other => panic!("{other}"),
            };
            assert_eq!((location, reason), (format!("profile '{name}'"), expected));
        }
    }

    #[test]
    fn a_missing_file_is_an_error_only_if_a_variable_names_it() {
        let home = tempfile::tempdir().unwrap();
        let home = ("HOME", home.path().to_str().unwrap());
        assert!(Profile::read(&[home].into_iter().collect()).is_ok());
        assert!(Profile::read(&Environment::default()).is_ok());
        for variable in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            let environment = [home, (variable, "/nonexistent/file")].into_iter().collect();
            let Err(AttestationError::Unreadable { path, .. }) = Profile::read(&environment) else {
                panic!("{variable} names a missing file");
            };
            assert_eq!(path, Path::new("/nonexistent/file"));
        }
    }
}
