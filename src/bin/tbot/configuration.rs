//! The configuration of a run: which file it comes from and what overrides it. Reads files and standard input;
//! `tbot::config` decides what they mean.

mod flag_help;
mod origins;
mod report;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine as _};
use tbot::config::{self, EffectiveConfig, LoadOptions, LoadOutcome, Override, Purpose};
use tbot::diagnostic::{Code, Diagnostic, Severity, Target};
use tbot::yaml;

pub(crate) use origins::{OriginDescriber, ValueOrigin};
pub(crate) use report::{render, report_invalid, report_valid};

use crate::cli::{GlobalArgs, RunArgs};
use crate::context::Context;
use crate::exit::Failure;
use crate::flag_value::nonempty;
use crate::overrides::overrides;
use tbot::agent::Environment;
use tbot::agent::internal::files::open_input;

/// The name of a configuration that consists of flags and variables.
const FLAGS_AND_VARIABLES: &str = "flags and variables";

/// The file that `tbot validate` and `tbot migrate` read if none is named. `tbot start` has no default, because flags alone
/// can be a whole configuration.
const DEFAULT_FILE: &str = "tbot.yaml";

/// The variable for `--config`.
pub(crate) const CONFIG_PATH: &str = "TBOT_CONFIG_PATH";

/// A configuration, loaded from a file, a variable or flags alone. It may be invalid.
pub(crate) struct Configuration {
    name: String,
    /// Whether the user has named a file or given its contents, instead of only flags and variables.
    has_file: bool,
    yaml: String,
    overrides: Vec<Override>,
    loaded: LoadOutcome,
}

/// Where the YAML comes from.
enum YamlSource {
    File(PathBuf),
    Base64 { encoded: String, input: &'static str },
    None,
}

impl Configuration {
    /// Loads the configuration of `tbot start` with these flags and this environment.
    pub(crate) fn for_run(
        global: &GlobalArgs,
        args: &RunArgs,
        options: impl Into<LoadOptions>,
        cx: &mut Context<'_>,
    ) -> Result<Self, Failure> {
        let overrides = overrides(global, args, &cx.environment)?;
        let source = yaml_source(global, &cx.environment)?;
        Self::from_source(source, overrides, options.into(), cx.stdin)
    }

    /// Like [`for_run`](Self::for_run), but without a file, `example` is used if the flags alone are not enough. Returns
    /// whether that is the case.
    pub(crate) fn for_run_or_example(
        global: &GlobalArgs,
        args: &RunArgs,
        example: &str,
        cx: &mut Context<'_>,
    ) -> Result<(Self, bool), Failure> {
        let options = LoadOptions { purpose: Purpose::Start, process: cx.process_context() };
        let configuration = Self::for_run(global, args, options, cx)?;
        if configuration.effective().is_some() || configuration.has_file {
            return Ok((configuration, false));
        }
        let (name, overrides) = ("example".to_owned(), configuration.overrides);
        let example = Self::from_bytes(name, example.as_bytes(), overrides, Purpose::Start.into());
        Ok((Self { has_file: false, ..example }, true))
    }

    /// Loads the configuration that `tbot configure` writes with these flags, this environment and no file.
    ///
    /// An address and a token may be missing, because variables can supply them to `tbot start`. No variable supplies a join method.
    pub(crate) fn from_flags(
        global: &GlobalArgs,
        args: &RunArgs,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let overrides = overrides(global, args, environment)?;
        let mut configuration = Self::without_file(overrides, Purpose::Validate.into());
        configuration.reject(&[Code::MissingJoinMethod]);
        Ok(configuration)
    }

    /// Makes the configuration invalid if it has a diagnostic with one of these codes.
    pub(crate) fn reject(&mut self, codes: &[Code]) {
        let LoadOutcome { diagnostics, effective, .. } = &mut self.loaded;
        for diagnostic in diagnostics.iter_mut().filter(|one| codes.contains(&one.code)) {
            diagnostic.severity = Severity::Error;
            *effective = None;
        }
    }

    /// Loads the configuration that the flags or the environment name, without overrides; otherwise `tbot.yaml` in the
    /// working directory.
    pub(crate) fn from_inputs(
        global: &GlobalArgs,
        options: impl Into<LoadOptions>,
        cx: &mut Context<'_>,
    ) -> Result<Self, Failure> {
        Self::find(global, options, cx)?.ok_or_else(|| {
            let message =
                format!("no configuration: name a file, set TBOT_CONFIG_PATH, or create {DEFAULT_FILE}");
            Failure::Usage(message)
        })
    }

    /// Like [`from_inputs`](Self::from_inputs), but returns `None` if there is no configuration.
    pub(crate) fn find(
        global: &GlobalArgs,
        options: impl Into<LoadOptions>,
        cx: &mut Context<'_>,
    ) -> Result<Option<Self>, Failure> {
        let source = yaml_source(global, &cx.environment)?;
        if !matches!(source, YamlSource::None) {
            return Self::from_source(source, Vec::new(), options.into(), cx.stdin).map(Some);
        }
        match Self::from_file(Path::new(DEFAULT_FILE), options, cx.stdin) {
            Err(Failure::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    /// Loads a file without overrides; `-` is standard input.
    pub(crate) fn from_file(
        path: &Path,
        options: impl Into<LoadOptions>,
        stdin: &mut dyn Read,
    ) -> Result<Self, Failure> {
        Ok(Self::from_bytes(name(path), &read(path, stdin)?, Vec::new(), options.into()))
    }

    /// Reports a file that cannot be read.
    pub(crate) fn unreadable(name: String, error: &io::Error) -> Self {
        let mut loaded = config::load(None::<&str>, &[], Purpose::Validate);
        loaded.effective = None;
        loaded.diagnostics = vec![Diagnostic::new(Code::Unreadable, Target::File, error.to_string())];
        Self { name, has_file: true, yaml: String::new(), overrides: Vec::new(), loaded }
    }

    fn from_source(
        source: YamlSource,
        overrides: Vec<Override>,
        options: LoadOptions,
        stdin: &mut dyn Read,
    ) -> Result<Self, Failure> {
        match source {
            YamlSource::None => Ok(Self::without_file(overrides, options)),
            YamlSource::File(path) => {
                Ok(Self::from_bytes(name(&path), &read(&path, stdin)?, overrides, options))
            }
            YamlSource::Base64 { encoded, input } => {
                let bytes = decode(&encoded).map_err(|_| {
                    Failure::Usage(format!("{input} is not valid base64: encode the file with `base64`"))
                })?;
                Ok(Self::from_bytes(input.to_owned(), &bytes, overrides, options))
            }
        }
    }

    fn without_file(overrides: Vec<Override>, options: LoadOptions) -> Self {
        let mut loaded = config::load(None::<&str>, &overrides, options);
        flag_help::name_flags(&mut loaded.diagnostics, &overrides, false);
        Self { name: FLAGS_AND_VARIABLES.to_owned(), has_file: false, yaml: String::new(), overrides, loaded }
    }

    fn from_bytes(name: String, bytes: &[u8], overrides: Vec<Override>, options: LoadOptions) -> Self {
        let mut loaded = config::load(Some(bytes), &overrides, options);
        flag_help::name_flags(&mut loaded.diagnostics, &overrides, true);
        let yaml = yaml::decode(bytes).unwrap_or_default().into_owned();
        Self { name, has_file: true, yaml, overrides, loaded }
    }

    /// The name of the source in messages: a path, `standard input`, `TBOT_CONFIG` or `flags and variables`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the default file if it exists and this configuration consists of flags and variables, or is an example.
    pub(crate) fn ignored_default_file(&self) -> Option<&'static str> {
        (!self.has_file && Path::new(DEFAULT_FILE).exists()).then_some(DEFAULT_FILE)
    }

    /// Returns whether there is a diagnostic with this code.
    pub(crate) fn has(&self, code: Code) -> bool {
        self.loaded.diagnostics.iter().any(|diagnostic| diagnostic.code == code)
    }

    /// Removes the diagnostics with this code.
    pub(crate) fn without(mut self, code: Code) -> Self {
        self.loaded.diagnostics.retain(|diagnostic| diagnostic.code != code);
        self
    }

    /// Returns the effective configuration, or `None` if the configuration is invalid.
    pub(crate) const fn effective(&self) -> Option<&EffectiveConfig> {
        self.loaded.effective.as_ref()
    }
}

/// Determines the source of the configuration: flags take precedence over variables, and two flags or two variables
/// conflict.
fn yaml_source(global: &GlobalArgs, environment: &Environment) -> Result<YamlSource, Failure> {
    const BASE64: &str = "TBOT_CONFIG";
    let conflict = |a, b| Err(Failure::Usage(format!("{a} and {b} cannot be used together: set only one")));
    match (nonempty(global.config.as_deref()), nonempty(global.config_string.as_deref())) {
        (Some(_), Some(_)) => return conflict("--config", "--config-string"),
        (Some(path), None) => return Ok(YamlSource::File(path.to_owned())),
        (None, Some(encoded)) => {
            return Ok(YamlSource::Base64 { encoded: encoded.to_owned(), input: "--config-string" });
        }
        (None, None) => {}
    }
    match (environment.get_os(CONFIG_PATH), environment.get_utf8(BASE64)?) {
        (Some(_), Some(_)) => conflict(CONFIG_PATH, BASE64),
        (Some(path), None) => Ok(YamlSource::File(PathBuf::from(path))),
        (None, Some(encoded)) => Ok(YamlSource::Base64 { encoded: encoded.to_owned(), input: BASE64 }),
        (None, None) => Ok(YamlSource::None),
    }
}

/// Decodes base64, ignoring line breaks like Go: GNU `base64` breaks lines after 76 characters.
fn decode(encoded: &str) -> Result<Vec<u8>, DecodeError> {
    STANDARD.decode(encoded.trim().replace(['\r', '\n'], ""))
}

fn name(path: &Path) -> String {
    if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads a file, stopping as soon as it is known to be too large.
fn read(path: &Path, stdin: &mut dyn Read) -> Result<Vec<u8>, Failure> {
    let limit = yaml::MAX_BYTES as u64 + 1;
    // Most files are smaller, and are then read at once.
    let mut bytes = Vec::with_capacity(8 << 10);
    let result: io::Result<usize> = if is_stdin(path) {
        stdin.take(limit).read_to_end(&mut bytes)
    } else {
        let file = open_input(path).map_err(io::Error::from);
        file.and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    match result {
        Ok(_) => Ok(bytes),
        Err(source) => Err(Failure::Unreadable { name: name(path), source }),
    }
}
