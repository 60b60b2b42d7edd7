//! `tbot explain`: explains the code of a diagnostic, or lists all codes.

use tbot::diagnostic::{self, Code, list_codes, suggest};
use tbot::untrusted::escape;

use crate::cli::ExplainArgs;
use crate::context::Context;
use crate::exit::Failure;

pub(crate) fn explain(ExplainArgs { code }: &ExplainArgs, cx: &mut Context<'_>) -> Result<(), Failure> {
    let Some(name) = code else {
        let list = list_codes(cx.stdout_terminal());
        writeln!(cx.stdout, "{list}\nRun `tbot explain CODE` for the reason, what to do, and an example.")?;
        return Ok(());
    };
    match Code::from_name(name) {
        Some(code) => {
            let explanation = diagnostic::explain(code, cx.stdout_terminal());
            Ok(cx.stdout.write_all(explanation.as_bytes())?)
        }
        None => {
            let close = suggest(name, Code::ALL.iter().map(|code| code.name()));
            let hint = close.map_or("run `tbot explain` for a list".to_owned(), |close| {
                format!("did you mean `{close}`? `tbot explain` lists all codes")
            });
            Err(Failure::Usage(format!("there is no code `{}`; {hint}", escape(name))))
        }
    }
}
