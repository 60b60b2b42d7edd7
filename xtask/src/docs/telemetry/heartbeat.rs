//! The section about heartbeats: the fields of their messages, with the comments that declare them.

use anyhow::{Context as _, Result};

use super::super::markdown::{code, table};

const DECLARATIONS: &str = include_str!("../../../../src/agent/teleport/proto/machineid.proto");

/// Returns the section about what the agent tells the bot's own cluster.
///
/// # Errors
///
/// Returns an error if a field has no comment.
pub(super) fn section() -> Result<String> {
    Ok(format!(
        include_str!("heartbeat.md"),
        agent = fields("BotInstanceStatusHeartbeat")?,
        service = fields("BotInstanceServiceHealth")?,
    ))
}

/// Returns a table of the fields of a message.
fn fields(message: &str) -> Result<String> {
    let (_, body) =
        DECLARATIONS.split_once(&format!("message {message} {{\n")).context("the message is not declared")?;
    let (mut rows, mut comment) = (Vec::new(), None);
    for line in body.lines().map(str::trim).take_while(|line| *line != "}") {
        if let Some(text) = line.strip_prefix("// ") {
            comment = Some(text.to_owned());
        } else if let Some((declaration, _)) = line.split_once(" = ") {
            let name = declaration.split(' ').next_back().unwrap_or_default();
            let meaning = comment.take().with_context(|| format!("{message}.{name} has no comment"))?;
            rows.push(vec![code(name), meaning]);
        }
    }
    Ok(table(&["field", "meaning"], &rows))
}
