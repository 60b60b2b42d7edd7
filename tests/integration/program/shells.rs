//! The completion scripts in real shells, and the manual pages in a real reader.

use std::path::Path;
use std::process::Command;

use super::fixture::{Telemetry, tbot};

/// Runs a script in which `tbot` is the program, and returns the lines of its output.
fn lines(shell: &[&str], script: &str) -> Vec<String> {
    let finished = tbot(Telemetry::ClosedPort, &[]).with_script(shell, script).file("tbot.yaml", "").run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""), "{}", finished.stdout);
    finished.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let complete = |words: &str| {
        let script = format!(
            r#"source <(tbot completions bash)
            complete -p tbot >/dev/null
            COMP_WORDS=(tbot {words}) COMP_CWORD=$(set -- {words}; echo $#)
            _tbot
            printf '%s\n' "${{COMPREPLY[@]}}""#
        );
        lines(&["bash", "--norc", "-c"], &script)
    };
    assert_eq!(complete("vali"), ["validate"]);
    assert_eq!(complete("start kubern"), ["kubernetes", "kubernetes/v2"]);
    assert_eq!(complete("start --diag"), ["--diag-addr"]);
    assert_eq!(complete("validate --format = js"), ["json"]);
    assert_eq!(complete("schema ''"), ["config", "config-v1", "event"]);
    // Nothing is offered, so bash completes file names.
    assert_eq!(complete("validate tb"), [""]);
}

#[test]
#[ignore = "needs zsh"]
fn zsh_completes_commands_options_and_values() {
    // Replaces the completion system, which needs a terminal.
    let complete = |words: &str| {
        let script = format!(
            r#"compdef() {{ }}
            _describe() {{ print -l -- "${{(@P)2}}" }}
            compset() {{ }}
            _files() {{ print files }}
            source <(tbot completions zsh)
            words=(tbot {words}) CURRENT=$(( $#words ))
            _tbot"#
        );
        lines(&["zsh", "-f", "-c"], &script)
    };
    assert_eq!(complete("vali"), ["validate:Check configuration files"]);
    assert_eq!(complete("completions ''"), ["bash:", "zsh:", "fish:"]);
    assert_eq!(complete("validate --format=js"), ["--format=json:"]);
    assert_eq!(complete("validate tb"), ["files"]);
}

#[test]
#[ignore = "needs fish"]
fn fish_completes_commands_options_values_and_files() {
    let complete = |line: &str| {
        let script = format!("tbot completions fish | source; complete -C '{line}'");
        lines(&["fish", "--no-config", "-c"], &script)
    };
    assert_eq!(complete("tbot vali"), ["validate\tCheck configuration files"]);
    assert_eq!(complete("tbot validate --format=js"), ["--format=json"]);
    assert_eq!(complete("tbot validate tb"), ["tbot.yaml"]);
}

#[test]
#[ignore = "needs mandoc"]
fn the_manual_pages_have_no_mistakes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man");
    let mut pages = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let page = entry.unwrap().path();
        let output = Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(&page).output().unwrap();
        let warnings = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        // A page that is generated has no date.
        let mut mistakes = warnings.lines().filter(|line| !line.contains("missing date"));
        assert_eq!(mistakes.next(), None, "{}", page.display());
        pages += 1;
    }
    assert!(pages > 10, "{pages}");
}
