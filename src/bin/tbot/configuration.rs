//! The configuration of a run: which file, what overrides it, what is wrong with it. Reads files and standard input; what
//! they mean is `tbot::config`'s matter.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tbot::config::{self, Effective, Input, Loaded, Origin, Override, Purpose};
use tbot::diagnostic::{
    Code, Diagnostic, Disclosure, Format, Place, Report, Severity, Source, render, summary,
};
use tbot::pointer::Pointer;
use tbot::yaml::{self, Positions};

use crate::World;
use crate::cli::{Global, Run};
use crate::environment::Environment;
use crate::exit::Failure;
use crate::overrides::overrides;

/// A text that was loaded as a configuration, or what stands for one where there is no file.
pub(crate) struct Configuration {
    name: String,
    text: String,
    overrides: Vec<Override>,
    loaded: Loaded,
}

/// Where the text comes from.
enum TextOrigin {
    File(PathBuf),
    Base64 { text: String, input: &'static str },
    Nowhere,
}

impl Configuration {
    /// The configuration of `tbot start` with these flags and this environment.
    pub(crate) fn of_run(
        global: &Global,
        run: &Run,
        purpose: Purpose,
        world: &mut World<'_>,
    ) -> Result<Self, Failure> {
        let World { environment, input, .. } = world;
        let overrides = overrides(global, run, environment)?;
        match origin(global, environment)? {
            TextOrigin::Nowhere => Ok(Self::nowhere(overrides, purpose)),
            TextOrigin::File(path) => Ok(Self::decode(name(&path), &read(&path, input)?, overrides, purpose)),
            TextOrigin::Base64 { text, input } => {
                let bytes = STANDARD.decode(text.trim()).map_err(|_| {
                    Failure::Usage(format!(
                        "{input} is not base64: encode the whole file, as `base64 -w0` does"
                    ))
                })?;
                Ok(Self::decode(input.to_owned(), &bytes, overrides, purpose))
            }
        }
    }

    /// The configuration of `tbot start` with these flags and this environment, and without any file.
    pub(crate) fn of_flags(global: &Global, run: &Run, environment: &Environment) -> Result<Self, Failure> {
        Ok(Self::nowhere(overrides(global, run, environment)?, Purpose::Start))
    }

    fn nowhere(overrides: Vec<Override>, purpose: Purpose) -> Self {
        Self {
            name: "command line".to_owned(),
            text: String::new(),
            loaded: config::load(None, &overrides, purpose),
            overrides,
        }
    }

    /// The one file that the flags or the environment name, by itself.
    ///
    /// # Errors
    ///
    /// Where they name none, or it cannot be read.
    pub(crate) fn of_named_file(global: &Global, world: &mut World<'_>) -> Result<(PathBuf, Self), Failure> {
        match origin(global, &world.environment)? {
            TextOrigin::File(path) => {
                let configuration = Self::of_file(&path, world.input)?;
                Ok((path, configuration))
            }
            _ => Err(Failure::Usage("no file to convert: name it with --config".to_owned())),
        }
    }

    /// Whether something was found that has this code.
    pub(crate) fn has(&self, code: Code) -> bool {
        self.loaded.diagnostics.iter().any(|diagnostic| diagnostic.code == code)
    }

    /// One file, by itself; `-` is standard input.
    pub(crate) fn of_file(path: &Path, input: &mut dyn Read) -> Result<Self, Failure> {
        Ok(Self::decode(name(path), &read(path, input)?, Vec::new(), Purpose::Validate))
    }

    fn decode(name: String, bytes: &[u8], overrides: Vec<Override>, purpose: Purpose) -> Self {
        let (text, loaded) = match yaml::decode(bytes) {
            Ok(text) => (text.to_owned(), config::load(Some(text), &overrides, purpose)),
            Err(problem) => {
                let mut loaded = config::load(None, &[], Purpose::Validate);
                loaded.effective = None;
                loaded.diagnostics = vec![problem.into()];
                (String::new(), loaded)
            }
        };
        Self { name, text, overrides, loaded }
    }

    /// Tells where values of the effective configuration come from, in words.
    pub(crate) fn places(&self) -> Places<'_> {
        Places { configuration: self, positions: Positions::of(&self.text) }
    }

    /// The effective configuration; none where it is invalid.
    pub(crate) const fn effective(&self) -> Option<&Effective> {
        self.loaded.effective.as_ref()
    }

    /// Every diagnostic with its place in words: `tbot.yaml:4:3`, `--join-method`.
    pub(crate) fn located(&self) -> Vec<(&Diagnostic, String)> {
        if self.loaded.diagnostics.is_empty() {
            return Vec::new();
        }
        // Nothing of the text is shown here.
        let disclosure = |_: &str| None;
        let source = Source::new(&self.name, &self.text, &disclosure);
        let locate = |diagnostic: &Diagnostic| match (&diagnostic.place, source.locate(&diagnostic.place)) {
            (Place::Input(input), _) => input.clone(),
            (_, Some(span)) => format!("{}:{}:{}", self.name, span.start.line, span.start.column),
            (_, None) => self.name.clone(),
        };
        self.loaded.diagnostics.iter().map(|diagnostic| (diagnostic, locate(diagnostic))).collect()
    }

    /// The inputs that replace something that the file says, each with the place of what it replaces.
    pub(crate) fn replaced(&self) -> Vec<(&Input, String)> {
        if self.overrides.is_empty() || self.text.is_empty() {
            return Vec::new();
        }
        let positions = Positions::of(&self.text);
        let replaced = |one: &Override| {
            let pointer = one.pointer().as_str();
            let span = positions.key(pointer).or_else(|| positions.value(pointer))?;
            let key = pointer.trim_start_matches('/').replace('/', ".");
            Some(format!("{key} of {}:{}", self.name, span.start.line))
        };
        self.overrides.iter().filter_map(|one| Some((one.input(), replaced(one)?))).collect()
    }
}

/// Where values come from; made once, for it costs a parse.
pub(crate) struct Places<'a> {
    configuration: &'a Configuration,
    positions: Positions<'a>,
}

impl Places<'_> {
    /// Where the value at a place of the effective configuration comes from: `tbot.yaml:4`, `flag --oneshot`. A list may
    /// come from several places.
    pub(crate) fn of(&self, effective: &Effective, pointer: &Pointer) -> String {
        let origins = effective.origins();
        let from = match origins.of(pointer) {
            Origin::File(from) => from,
            Origin::Input(Input::Flag(name)) => return format!("flag {name}"),
            Origin::Input(Input::Variable(name)) => return format!("variable {name}"),
            Origin::Input(command @ Input::Command(_)) => return command.to_string(),
            Origin::Input(Input::JoinUri) => match origins.of(&Pointer::root().key("join_uri")) {
                Origin::Input(input) => return format!("join URI of {input}"),
                Origin::File(from) => from,
            },
        };
        let (name, from) = (&self.configuration.name, from.as_str());
        let line = self.positions.key(from).or_else(|| self.positions.value(from));
        let line = line.map(|span| format!("{name}:{}", span.start.line));
        let places: Vec<String> =
            line.into_iter().chain(origins.entries(pointer).map(Input::to_string)).collect();
        if places.is_empty() { name.clone() } else { places.join(" and ") }
    }
}

/// What is wrong in several configurations.
pub(crate) struct Rendered {
    /// All diagnostics, in the form that was asked for.
    pub(crate) text: String,
    /// One line about them.
    pub(crate) summary: String,
    /// How many errors there are.
    pub(crate) errors: usize,
    /// How many warnings there are.
    pub(crate) warnings: usize,
}

/// Renders what is wrong, in the order of the files. `colour` is for people only.
pub(crate) fn render_all(configurations: &[Configuration], format: Format, colour: bool) -> Rendered {
    let disclosures: Vec<Box<dyn Disclosure>> = configurations
        .iter()
        .map(|one| -> Box<dyn Disclosure> {
            // Where nothing is wrong, nothing is shown, and the schema need not be read.
            match one.loaded.diagnostics.is_empty() {
                true => Box::new(|_: &str| None),
                false => Box::new(one.loaded.disclosure()),
            }
        })
        .collect();
    let sources: Vec<Source<'_>> = configurations
        .iter()
        .zip(&disclosures)
        .map(|(one, disclosure)| Source::new(&one.name, &one.text, disclosure.as_ref()))
        .collect();
    let reports: Vec<Report<'_>> = configurations
        .iter()
        .zip(&sources)
        .map(|(one, source)| Report::new(source, one.loaded.diagnostics.clone()))
        .collect();
    let count = |severity| reports.iter().map(|report| report.count(severity)).sum();
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = render(&mut text, format, colour, &reports);
    Rendered {
        text,
        summary: summary(&reports),
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
    }
}

/// The flags before the variables; two of a kind contradict each other.
fn origin(global: &Global, environment: &Environment) -> Result<TextOrigin, Failure> {
    const PATH: &str = "TBOT_CONFIG_PATH";
    const TEXT: &str = "TBOT_CONFIG";
    let twice =
        |one, other| Err(Failure::Usage(format!("{one} and {other} exclude each other: give one of them")));
    match (&global.config, &global.config_string) {
        (Some(_), Some(_)) => return twice("--config", "--config-string"),
        (Some(path), None) => return Ok(TextOrigin::File(path.clone())),
        (None, Some(text)) => return Ok(TextOrigin::Base64 { text: text.clone(), input: "--config-string" }),
        (None, None) => {}
    }
    match (environment.raw(PATH), environment.text(TEXT)?) {
        (Some(_), Some(_)) => twice(PATH, TEXT),
        (Some(path), None) => Ok(TextOrigin::File(PathBuf::from(path))),
        (None, Some(text)) => Ok(TextOrigin::Base64 { text: text.to_owned(), input: TEXT }),
        (None, None) => Ok(TextOrigin::Nowhere),
    }
}

fn name(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads a file, but no more of it than it takes to know that it is too large.
fn read(path: &Path, input: &mut dyn Read) -> Result<Vec<u8>, Failure> {
    let limit = yaml::MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let read: io::Result<usize> = if is_standard_input(path) {
        input.take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(source) => Err(Failure::Unreadable { name: name(path), source }),
    }
}
