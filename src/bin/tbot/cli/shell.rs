//! The scripts that complete command lines in a shell.
//!
//! A script asks the program what can follow, so it need not change with the commands and options. If the program prints
//! nothing, the shell completes the name of a file.

use clap::ValueEnum;

/// A shell with a completion script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Bash splits `--format=json` into three words; the program accepts them.
const BASH: &str = r#"# Completes tbot in bash. Printed by `tbot completions bash`.
_tbot() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\t'*}")
    done < <(tbot __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _tbot tbot
"#;

/// The last lines run the function if zsh has loaded the file as `_tbot`, and register it if a user has sourced the file.
const ZSH: &str = r#"#compdef tbot
# Completes tbot in zsh. Printed by `tbot completions zsh`.
_tbot() {
    local -a candidates
    candidates=("${(@f)$(tbot __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    candidates=("${(@)candidates/$'\t'/:}")
    if [[ -n ${candidates[1]} ]]; then
        _describe tbot candidates
    else
        compset -P '--*='
        _files
    fi
}
if [[ ${funcstack[1]} == _tbot ]]; then
    _tbot "$@"
else
    compdef _tbot tbot
fi
"#;

const FISH: &str = r#"# Completes tbot in fish. Printed by `tbot completions fish`.
function __tbot_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l candidates (tbot __complete -- $words[2..] 2>/dev/null)
    if set -q candidates[1]
        printf '%s\n' $candidates
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c tbot -f -a '(__tbot_complete)'
"#;

impl Shell {
    /// Returns the script.
    pub(crate) const fn script(self) -> &'static str {
        match self {
            Self::Bash => BASH,
            Self::Zsh => ZSH,
            Self::Fish => FISH,
        }
    }
}
