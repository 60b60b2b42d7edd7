//! Our messages for the messages of the parser, for an error whose cause was not found.

use super::{Finding, SyntaxError};

impl SyntaxError<'_, '_> {
    pub(super) fn other(&self) -> Finding {
        let (mut byte, mut parser_message) = (self.byte, self.parser_message);
        let mut before = self.lines_before().filter(|line| line.start < byte);
        let is_colon = |byte: usize| self.index.text()[byte..].starts_with(':');
        if self.is("<document start>") && is_colon(byte) {
            return Finding { byte, message: "missing space after `:`", help: MISSING_COLON_HELP };
        } else if self.is("<document start>")
            && let Some(line) = before.next()
            && line.text.starts_with('%')
        {
            (byte, parser_message) = (line.start, "directive");
        } else if self.is("invalid indentation") && self.index.text()[byte..].starts_with([']', '}']) {
            return Finding {
                byte,
                message: "closing bracket is not indented",
                help: "align it with the key, or indent it more",
            };
        } else if self.is("expected key") {
            // The parser reports an item of a list after its `- `.
            let item = self.index.text()[..byte].trim_end_matches(' ').strip_suffix('-');
            byte = item.map_or(byte, str::len);
        }
        let known = SYNTAX.iter().find(|(pattern, ..)| parser_message.contains(pattern));
        let (message, help) = known.map_or(("invalid YAML", ""), |(_, message, help)| (*message, *help));
        Finding { byte, message, help }
    }
}

pub(super) const MISSING_COLON_HELP: &str = "write `key: value`, with a space after the `:`";

/// Maps part of a message of saphyr-parser to our message and help. The first match wins.
const SYNTAX: &[(&str, &str, &str)] = &[
    (
        "mapping values are not allowed",
        "unexpected `:`",
        "align the keys of a map; put a space after the `:`, and quotes around a value that contains `: `",
    ),
    ("':' may not precede", "missing space after `:`", MISSING_COLON_HELP),
    ("'-' must be followed", "tab after `-`", "use spaces"),
    ("sequence entries", "unexpected `- `", "put each item on its own line, aligned with the other items"),
    ("only valid inside a block", "unexpected `-`", BRACKETS),
    ("cannot start with '-'", "unexpected `-`", BRACKETS),
    ("misplaced bracket", "closing bracket without an opening one", "put quotes around the value"),
    (
        "in quoted scalar",
        "quoted string is not closed, or its next line is not indented",
        "close the quotes, or indent each line of the string more than its key",
    ),
    (
        "scanning a quoted",
        "quoted string is not closed",
        "close the quotes; write `\\\\` for a `\\` in double quotes",
    ),
    ("trailing content after", "text after the closing quote", "put quotes around the whole value"),
    (
        "parsing a quoted",
        "unknown escape sequence in double quotes",
        "write `\\\\` for a `\\`, or use single quotes",
    ),
    ("unexpected character", "value starts with a reserved character", "put quotes around the value"),
    ("placement of ':'", "`[` or `{` is not closed, or a `,` is missing", BRACKETS),
    ("invalid indentation", "`[` or `{` is not closed, or a `,` is missing", BRACKETS),
    ("expected ','", "`[` or `{` is not closed, or a `,` is missing", BRACKETS),
    (
        "comment intercepting",
        "value continues after a comment",
        "align the keys; put a value with ` #` in quotes",
    ),
    ("comments must", "missing space before `#`", "put a space before a comment, or quotes around the value"),
    ("expected key", "expected a key", "align the keys; quote a value that starts with a special character"),
    ("expected '-'", "expected `- `", "align the items of a list"),
    ("unknown anchor", "alias of an undefined anchor", "define it above, or quote a value with a `*`"),
    (
        "an anchor or",
        "anchor or alias without a name",
        "put quotes around a value that starts with `&` or `*`",
    ),
    (
        "block scalar",
        "malformed block after `|` or `>`",
        "indent each line of the block with spaces, or put quotes around a value that starts with `|` or `>`",
    ),
    (
        "directive",
        "unsupported `%` directive",
        "remove the line, or put quotes around a value that starts with `%`",
    ),
    ("tag", "malformed tag", "put quotes around a value that starts with `!`"),
    ("handle wasn't declared", "malformed tag", "put quotes around a value that starts with `!`"),
    ("<document start>", "this line does not belong to the map above it", "align the keys of a map"),
    ("document end marker", "text after `...`, which ends the document", "remove the line"),
    (
        "node content",
        "missing value, or a value that starts with a special character",
        "put quotes around the value",
    ),
];

const BRACKETS: &str = "close each bracket, and put a `,` between the items";
