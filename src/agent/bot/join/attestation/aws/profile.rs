//! One profile of AWS's shared files, `~/.aws/config` and `~/.aws/credentials`: its keys and its region. One I/O edge.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::super::{LARGEST, ProofError, file};
use super::keys::{Keys, Region};
use super::{KEYS, REGION};
use crate::agent::platform::options::Environment;

/// What a profile may say instead of keys, and what it would make of it.
const OTHERS: [(&str, &str); 7] = [
    ("role_arn", "an assumed role"),
    ("credential_process", "a process"),
    ("credential_source", "another source"),
    ("web_identity_token_file", "a web identity"),
    ("sso_session", "a single sign-on"),
    ("sso_start_url", "a single sign-on"),
    ("login_session", "a login of the console"),
];

/// The properties of the profile, of both files: those of the credentials file go before.
#[derive(Default)]
pub(super) struct Profile {
    /// For errors: `profile 'default'`.
    place: String,
    properties: BTreeMap<String, String>,
}

impl Profile {
    /// The profile that the environment names. A file that is not there says nothing, unless a variable names it. Blocks.
    pub(super) fn read(environment: &Environment) -> Result<Self, ProofError> {
        let named = environment.first_of(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        let name = named.unwrap_or("default");
        let config = text(environment, "AWS_CONFIG_FILE", "config")?;
        let credentials = text(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials")?;
        let in_config = section(&config, |header| {
            header.strip_prefix("profile ").map(str::trim) == Some(name)
                || (name == "default" && header == name)
        });
        let in_credentials = section(&credentials, |header| header == name);
        let place = format!("profile '{name}'");
        if named.is_some() && in_config.is_none() && in_credentials.is_none() {
            return Err(KEYS.malformed(place, "neither AWS's config file nor its credentials file has it"));
        }
        let mut properties = in_config.unwrap_or_default();
        properties.extend(in_credentials.unwrap_or_default());
        Ok(Self { place, properties })
    }

    pub(super) fn keys(&self) -> Result<Option<Keys>, ProofError> {
        let get = |name: &str| self.properties.get(name).map(String::as_str);
        // An assumed role goes before the keys that it is assumed with.
        let other = OTHERS.iter().find(|(name, _)| self.properties.contains_key(*name));
        let keys = (get("aws_access_key_id"), get("aws_secret_access_key"));
        match (keys, other) {
            ((Some(id), Some(secret)), other) if other.is_none_or(|(name, _)| *name != "role_arn") => {
                Keys::new(id, secret, get("aws_session_token"), &self.place).map(Some)
            }
            (_, Some((_, source_name))) => Err(ProofError::Unsupported {
                place: self.place.clone(),
                what: KEYS.what,
                source_name,
                needs: KEYS.needs,
            }),
            ((None, None), None) => Ok(None),
            (_, None) => {
                let problem = "aws_access_key_id and aws_secret_access_key are set together, or neither";
                Err(KEYS.malformed(self.place.clone(), problem))
            }
        }
    }

    pub(super) fn region(&self) -> Result<Option<Region>, ProofError> {
        let region = self.properties.get("region");
        region.map(|region| Region::new(region, &self.place)).transpose()
    }
}

/// The text of a shared file: of that in `variable`, else of that in the home folder.
fn text(environment: &Environment, variable: &str, name: &str) -> Result<String, ProofError> {
    let named = environment.get(variable).map(PathBuf::from);
    let is_named = named.is_some();
    let usual = || environment.get("HOME").map(|home| Path::new(home).join(".aws").join(name));
    let Some(path) = named.or_else(usual) else { return Ok(String::new()) };
    match file::text(&path) {
        Ok(text) if text.len() > LARGEST => {
            Err(KEYS.malformed(path.display().to_string(), "it is longer than 64 KiB"))
        }
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound && !is_named => Ok(String::new()),
        Err(error) => Err(REGION_OR_KEYS.unreadable(path, error)),
    }
}

/// A file that cannot be read may have held either.
const REGION_OR_KEYS: super::Wanted =
    super::Wanted { what: "AWS credentials and region", needs: REGION.needs };

/// The properties of the sections whose header, without brackets, is wanted; none where there is no such section. Lines that
/// are indented belong to the property before them, and none of those matters here.
fn section(text: &str, wanted: impl Fn(&str) -> bool) -> Option<BTreeMap<String, String>> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut is_wanted = false;
    for line in text.lines() {
        if line.starts_with(['#', ';', ' ', '\t']) {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or_default();
            is_wanted = wanted(header.trim());
            if is_wanted {
                found.get_or_insert_default();
            }
        } else if let (true, Some(found), Some((name, value))) = (is_wanted, &mut found, line.split_once('='))
        {
            let value = value.split(" #").next().unwrap_or_default();
            let value = value.split(" ;").next().unwrap_or_default().trim();
            if !value.is_empty() {
                found.insert(name.trim().to_lowercase(), value.to_owned());
            }
        }
    }
    found
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

    fn read(name: Option<&str>) -> Result<(Option<String>, Option<String>), String> {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join(".aws");
        std::fs::create_dir(&home).unwrap();
        std::fs::write(home.join("config"), CONFIG).unwrap();
        std::fs::write(home.join("credentials"), CREDENTIALS).unwrap();
        let mut variables = vec![("HOME", folder.path().to_str().unwrap())];
        variables.extend(name.map(|name| ("AWS_PROFILE", name)));
        let profile = Profile::read(&variables.into_iter().collect()).map_err(|error| error.to_string())?;
        let keys = profile.keys().map_err(|error| error.to_string())?;
        let region = profile.region().map_err(|error| error.to_string())?;
        Ok((
            keys.map(|keys| keys.all().collect::<Vec<_>>().join(" ")),
            region.map(|region| region.as_str().to_owned()),
        ))
    }

    #[test]
    fn a_profile_is_put_together_from_both_files() {
        let some = |text: &str| Some(text.to_owned());
        let default = (some("AKID hunter1 session"), some("eu-central-1"));
        assert_eq!(read(None), Ok(default.clone()));
        assert_eq!(read(Some("default")), Ok(default));
        assert_eq!(read(Some("deploy")), Ok((some("OFCREDENTIALS hunter3"), some("us-east-1"))));
    }

    #[test]
    fn what_is_not_supported_or_not_there_is_said_by_name() {
        for (name, says) in [
            (
                "sso",
                "profile 'sso' has the AWS credentials come from a single sign-on, which this version does not support",
            ),
            ("assumed", "an assumed role"),
            ("process", "a process"),
            ("half", "are set together, or neither"),
            ("odd", "neither AWS's config file nor its credentials file has it"),
            ("elsewhere", "neither AWS's config file nor its credentials file has it"),
        ] {
            let refused = read(Some(name)).unwrap_err();
            assert!(refused.contains(says) && refused.contains(name), "{refused}");
            assert!(!refused.contains("hunter") && !refused.contains("AKID"), "{refused}");
        }
    }

    #[test]
    fn a_file_has_to_be_there_where_a_variable_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = ("HOME", folder.path().to_str().unwrap());
        assert!(Profile::read(&[home].into_iter().collect()).is_ok());
        assert!(Profile::read(&Environment::default()).is_ok());
        for variable in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            let named = [home, (variable, "/nonexistent/file")].into_iter().collect();
            let refused = Profile::read(&named).err().unwrap().to_string();
            assert!(refused.contains("cannot read the AWS credentials and region from /nonexistent/file"));
        }
    }
}
