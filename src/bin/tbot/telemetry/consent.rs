//! Consent: decides whether anonymous telemetry is on, from four inputs. Pure.
//!
//! Telemetry is on if at least one input says yes and none says no. It is off by default.

use std::ffi::OsStr;
use std::fmt;

use serde_json::{Value, json};
use tbot::config::EffectiveConfig;

use crate::cli::GlobalArgs;
use crate::context::parse_go_bool;
use tbot::agent::Environment;

/// This variable says yes if it is set to a true value, and no if it is set to anything else.
const TELEPORT_ANONYMOUS_TELEMETRY: &str = "TELEPORT_ANONYMOUS_TELEMETRY";

/// This variable says no if it is set to anything but `0` or `false` (<https://consoledonottrack.com>).
const DO_NOT_TRACK: &str = "DO_NOT_TRACK";

/// An input of the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsentInput {
    /// The flag `--anonymous-telemetry-opt-in`.
    Flag,
    /// The property `anonymous_telemetry_opt_in` of the configuration.
    Configuration,
    /// The variable `TELEPORT_ANONYMOUS_TELEMETRY`.
    Variable,
    /// The variable `DO_NOT_TRACK`.
    DoNotTrack,
}

impl fmt::Display for ConsentInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Flag => "--anonymous-telemetry-opt-in",
            Self::Configuration => "anonymous_telemetry_opt_in",
            Self::Variable => TELEPORT_ANONYMOUS_TELEMETRY,
            Self::DoNotTrack => DO_NOT_TRACK,
        })
    }
}

/// Whether an input consents to telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    Yes,
    No,
    /// The input says neither yes nor no.
    None,
}

impl fmt::Display for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::None => "none",
        })
    }
}

/// The values of all inputs. An empty variable counts as unset.
#[derive(Clone, Copy, Debug, Default)]
struct ConsentValues<'a> {
    flag: bool,
    configuration: Option<bool>,
    variable: Option<&'a OsStr>,
    do_not_track: Option<&'a OsStr>,
}

/// The consent of one input, and the reason. The reason never contains the input's value, which may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InputConsent {
    pub(crate) input: ConsentInput,
    pub(crate) consent: Consent,
    pub(crate) reason: &'static str,
}

/// Whether telemetry is on, with the consent of every input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsentDecision {
    pub(crate) on: bool,
    pub(crate) inputs: [InputConsent; 4],
}

impl ConsentDecision {
    /// Decides for a run with these flags, this configuration and this environment.
    pub(crate) fn for_run(
        global: &GlobalArgs,
        effective: &EffectiveConfig,
        environment: &Environment,
    ) -> Self {
        Self::new(&ConsentValues {
            flag: global.anonymous_telemetry_opt_in,
            configuration: effective.config().anonymous_telemetry_opt_in,
            variable: environment.get_os(TELEPORT_ANONYMOUS_TELEMETRY),
            do_not_track: environment.get_os(DO_NOT_TRACK),
        })
    }

    fn new(values: &ConsentValues<'_>) -> Self {
        let inputs = [
            flag(values.flag),
            configuration(values.configuration),
            variable(values.variable),
            do_not_track(values.do_not_track),
        ];
        let any = |consent| inputs.iter().any(|input| input.consent == consent);
        Self { on: any(Consent::Yes) && !any(Consent::No), inputs }
    }

    /// Returns the decision for programs. Its members are documented in docs/telemetry.md.
    pub(crate) fn to_json(&self) -> Value {
        let inputs = self.inputs.iter().map(|input| {
            json!({
                "input": input.input.to_string(),
                "consent": input.consent.to_string(),
                "reason": input.reason,
            })
        });
        json!({ "on": self.on, "inputs": inputs.collect::<Value>() })
    }

    /// Returns the inputs that decided: those that say no or, if there are none, those that say yes. Empty if telemetry
    /// is off by default.
    fn decided_by(&self) -> impl Iterator<Item = ConsentInput> {
        let decisive = if self.on { Consent::Yes } else { Consent::No };
        self.inputs.iter().filter(move |input| input.consent == decisive).map(|input| input.input)
    }
}

/// `on (enabled by X and Y)`, `off (disabled by X)` or `off (default)`.
impl fmt::Display for ConsentDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs: Vec<_> = self.decided_by().map(|input| input.to_string()).collect();
        let inputs = inputs.join(" and ");
        match (self.on, inputs.is_empty()) {
            (true, _) => write!(f, "on (enabled by {inputs})"),
            (false, false) => write!(f, "off (disabled by {inputs})"),
            (false, true) => f.write_str("off (default)"),
        }
    }
}

const fn flag(given: bool) -> InputConsent {
    let (consent, reason) = if given { (Consent::Yes, "given") } else { (Consent::None, "not given") };
    InputConsent { input: ConsentInput::Flag, consent, reason }
}

const fn configuration(value: Option<bool>) -> InputConsent {
    let (consent, reason) = match value {
        Some(true) => (Consent::Yes, "true"),
        Some(false) => (Consent::No, "false"),
        None => (Consent::None, "not set"),
    };
    InputConsent { input: ConsentInput::Configuration, consent, reason }
}

fn variable(value: Option<&OsStr>) -> InputConsent {
    let (consent, reason) = match value.filter(|value| !value.is_empty()).map(OsStr::to_str) {
        None => (Consent::None, "not set"),
        Some(None) => (Consent::No, "not UTF-8, taken as no"),
        Some(Some(value)) => match parse_go_bool(value) {
            Some(true) => (Consent::Yes, "set to a true value"),
            Some(false) => (Consent::No, "set to a false value"),
            None => (Consent::No, "not a boolean, taken as no"),
        },
    };
    InputConsent { input: ConsentInput::Variable, consent, reason }
}

fn do_not_track(value: Option<&OsStr>) -> InputConsent {
    let (consent, reason) = match value.filter(|value| !value.is_empty()).map(OsStr::to_str) {
        None => (Consent::None, "not set"),
        Some(Some("0" | "false")) => (Consent::None, "set to `0` or `false`"),
        Some(Some(_)) => (Consent::No, "set"),
        Some(None) => (Consent::No, "not UTF-8, taken as no"),
    };
    InputConsent { input: ConsentInput::DoNotTrack, consent, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    fn consent_of(input: fn(Option<&OsStr>) -> InputConsent, value: &str) -> Consent {
        input(Some(OsStr::new(value))).consent
    }

    #[test]
    fn teleports_variable_is_a_go_boolean_and_any_other_value_says_no() {
        for yes in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(consent_of(variable, yes), Consent::Yes, "{yes}");
        }
        for no in ["0", "f", "F", "FALSE", "false", "False", "tRUE", "yes", "on", "2", " 1", "1 ", "true\n"] {
            assert_eq!(consent_of(variable, no), Consent::No, "{no}");
        }
        assert_eq!(consent_of(variable, ""), Consent::None);
        assert_eq!(variable(None).consent, Consent::None);
    }

    #[test]
    fn do_not_track_says_no_unless_it_is_empty_0_or_false() {
        for none in ["", "0", "false"] {
            assert_eq!(consent_of(do_not_track, none), Consent::None, "{none}");
        }
        for no in ["1", "true", "False", "FALSE", "no", "00", " 0", "0 ", " "] {
            assert_eq!(consent_of(do_not_track, no), Consent::No, "{no}");
        }
        assert_eq!(do_not_track(None).consent, Consent::None);
    }

    #[test]
    fn a_value_that_is_not_utf8_says_no() {
        let value = OsString::from_vec(vec![b'1', 0xff]);
        assert_eq!(variable(Some(&value)).consent, Consent::No);
        assert_eq!(do_not_track(Some(&value)).consent, Consent::No);
    }

    #[test]
    fn the_decision_names_the_inputs_that_decided() {
        let default = ConsentValues::default();
        let flag = ConsentValues { flag: true, ..default };
        let both = ConsentValues { configuration: Some(true), ..flag };
        let denied = ConsentValues { do_not_track: Some(OsStr::new("1")), ..both };
        let decisions = [default, flag, both, denied].map(|values| ConsentDecision::new(&values).to_string());
        insta::assert_snapshot!(decisions.join("\n"), @r"
        off (default)
        on (enabled by --anonymous-telemetry-opt-in)
        on (enabled by --anonymous-telemetry-opt-in and anonymous_telemetry_opt_in)
        off (disabled by DO_NOT_TRACK)
        ");
    }

    fn any_value() -> impl Strategy<Value = Option<OsString>> {
        const LISTED: [&str; 12] =
            ["", "0", "1", "f", "t", "false", "true", "False", "True", "FALSE", "TRUE", "yes"];
        prop_oneof![
            Just(None),
            proptest::sample::select(&LISTED[..]).prop_map(|text| Some(OsString::from(text))),
            proptest::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| Some(OsString::from_vec(bytes))),
        ]
    }

    proptest! {
        /// States the rule a second time, independently of [`Consent`].
        #[test]
        fn telemetry_is_on_exactly_if_an_input_says_yes_and_none_says_no(
            flag: bool,
            configuration: Option<bool>,
            variable in any_value(),
            do_not_track in any_value(),
        ) {
            let bytes = |value: &Option<OsString>| value.clone().unwrap_or_default().into_vec();
            let true_values: [&[u8]; 6] = [b"1", b"t", b"T", b"TRUE", b"true", b"True"];
            let neutral: [&[u8]; 3] = [b"", b"0", b"false"];
            let variable_bytes = bytes(&variable);
            let yes = flag || configuration == Some(true) || true_values.contains(&variable_bytes.as_slice());
            let no = configuration == Some(false)
                || (!variable_bytes.is_empty() && !true_values.contains(&variable_bytes.as_slice()))
                || !neutral.contains(&bytes(&do_not_track).as_slice());

            let values = ConsentValues {
                flag,
                configuration,
                variable: variable.as_deref(),
                do_not_track: do_not_track.as_deref(),
            };
            let decision = ConsentDecision::new(&values);
            prop_assert_eq!(decision.on, yes && !no);
            prop_assert!(decision.decided_by().next().is_some() || !decision.on);
        }

        /// Removing a yes, or adding a no, never turns telemetry on.
        #[test]
        fn a_no_always_takes_precedence(
            flag: bool,
            configuration: Option<bool>,
            variable in any_value(),
            do_not_track in any_value(),
        ) {
            let values = ConsentValues {
                flag,
                configuration,
                variable: variable.as_deref(),
                do_not_track: do_not_track.as_deref(),
            };
            for denied in [
                ConsentValues { do_not_track: Some(OsStr::new("1")), ..values },
                ConsentValues { variable: Some(OsStr::new("0")), ..values },
                ConsentValues { configuration: Some(false), ..values },
            ] {
                prop_assert!(!ConsentDecision::new(&denied).on);
            }
            let without_flag = ConsentValues { flag: false, ..values };
            prop_assert!(ConsentDecision::new(&values).on || !ConsentDecision::new(&without_flag).on);
        }
    }
}
