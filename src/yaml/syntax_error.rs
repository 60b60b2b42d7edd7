//! Describes a syntax error: the message, the help, and the position at which a user would look for it, which can be before
//! the position at which the parser noticed it. Depends on `line_index` and `problem`. Never uses the parser's message itself,
//! which may quote values of the file and thus secrets.

mod misaligned_entry;

use super::line_index::LineIndex;
use super::problem::{Problem, ProblemKind};

/// Translates a syntax error of saphyr-parser, noticed at `byte`.
pub(crate) fn describe_syntax_error(parser_message: &str, index: &LineIndex<'_>, byte: usize) -> Problem {
    if parser_message.contains("recursion limit") {
        return Problem::from(ProblemKind::TooDeep).with_span(index.char_at(byte));
    }
    let error = SyntaxError { parser_message, index, byte };
    if let Some(byte) = error.template() {
        return Problem::from(ProblemKind::Template).with_span(index.char_at(byte));
    }
    if let Some(problem) = error.misaligned_entry() {
        return problem;
    }
    let (byte, message, help) = error
        .conflict_marker()
        .or_else(|| error.tab())
        .or_else(|| error.no_break_space())
        .or_else(|| error.markdown_fence())
        .or_else(|| error.end_of_here_document())
        .or_else(|| error.block_not_indented())
        .or_else(|| error.dash_without_space())
        .or_else(|| error.missing_colon())
        .or_else(|| error.key_below_a_value())
        .or_else(|| error.variable_in_brackets())
        .or_else(|| error.misaligned_key())
        .unwrap_or_else(|| error.other());
    Problem::new(ProblemKind::Syntax, message, help).with_span(index.char_at(byte))
}

/// The message and help for a tab in the indentation.
pub(crate) const TAB: (&str, &str) = ("tab used for indentation", "use spaces");

/// The byte, message and help of a problem.
type Description = (usize, &'static str, &'static str);

struct SyntaxError<'e, 'a> {
    parser_message: &'e str,
    index: &'e LineIndex<'a>,
    byte: usize,
}

impl<'a> SyntaxError<'_, 'a> {
    fn is(&self, pattern: &str) -> bool {
        self.parser_message.contains(pattern)
    }

    /// Returns a line, counted from 1, and the byte at which it starts.
    fn line(&self, line: usize) -> Option<(usize, &'a str)> {
        self.index.line(line).map(|(start, end)| (start, &self.index.text()[start..end]))
    }

    /// Iterates backwards over the lines up to the error that are not empty and not only a comment, with the bytes at which
    /// their contents start.
    fn lines_before(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let last = self.index.position(self.byte).line;
        let lines = (1..=last).rev().filter_map(|line| self.line(line));
        let contents = lines.map(|(start, line)| (start + line.len() - line.trim_start().len(), line.trim()));
        contents.filter(|(start, line)| *start <= self.byte && !line.is_empty() && !line.starts_with('#'))
    }

    /// Finds a template or a placeholder on the line of the error: `{{ name }}`, `{% if x %}`, `{# text #}`, `%NAME%` or `@NAME@`. The
    /// parser takes a line that consists of a template for a key, and misses its `:` on the next line.
    fn template(&self) -> Option<usize> {
        let mut lines = self.lines_before().take(2).filter(|(start, _)| !self.is_in_block(*start));
        let is_template = |line: &str| ["{{", "{%", "{#"].iter().any(|open| line.starts_with(open));
        if let Some((start, _)) = lines.find(|line| is_template(without_dashes(*line).1)) {
            return Some(start);
        }
        let (start, line) = self.line(self.index.position(self.byte).line)?;
        let unquoted = &line[..line.find(['"', '\'', '#']).unwrap_or(line.len())];
        let action = ["{{", "{%"].iter().filter_map(|open| unquoted.find(open)).min();
        let at = self.byte.checked_sub(start)?;
        let named = || {
            let sign = line.get(at..)?.chars().next().filter(|sign| matches!(sign, '%' | '@'))?;
            let (name, _) = line[at + 1..].split_once(sign)?;
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            (!name.is_empty() && name.bytes().all(is_name)).then_some(at)
        };
        Some(start + action.or_else(named)?)
    }

    /// Finds a marker of an unresolved git conflict.
    fn conflict_marker(&self) -> Option<Description> {
        let markers = ["<<<<<<< ", "||||||| ", "=======", ">>>>>>> "];
        let is_marker = |line: &str| markers.iter().any(|marker| line.starts_with(marker));
        let (at, _) = self.lines_before().filter(|(_, line)| is_marker(line)).last()?;
        Some((at, "unresolved git conflict", "keep one version, and remove the lines that git added"))
    }

    /// Finds the tab that the parser complains about at the value before or at the key after it.
    fn tab(&self) -> Option<Description> {
        let first = self.is("tab").then(|| self.index.position(self.byte).line)?;
        let mut lines = (first..).map_while(|line| self.line(line));
        let is_blank = |before: &str| before.trim_matches([' ', '\t']).is_empty();
        let tab = |(start, line): (usize, &str)| {
            line.find('\t').filter(|tab| is_blank(&line[..*tab])).map(|tab| start + tab)
        };
        Some((lines.find_map(tab).unwrap_or(self.byte), TAB.0, TAB.1))
    }

    /// Finds a no-break space in the place of a space that belongs to the syntax, on the line of the error or on the one before.
    fn no_break_space(&self) -> Option<Description> {
        let is_no_break = |character: char| matches!(character, '\u{a0}' | '\u{202f}');
        let found = |(start, line): (usize, &str)| {
            let unquoted = &line[..line.find(['"', '\'', '#']).unwrap_or(line.len())];
            let follows_syntax = |before: &str| {
                let before = before.trim_end_matches(' ');
                before.is_empty() || before.ends_with([':', '-', ',', '{', '['])
            };
            let mut places = unquoted.match_indices(is_no_break).map(|(at, _)| at);
            Some(start + places.find(|at| follows_syntax(&unquoted[..*at]))?)
        };
        let line = self.index.position(self.byte).line;
        let at = [line, line - 1].into_iter().filter_map(|line| self.line(line)).find_map(found)?;
        Some((at, "no-break space in the place of a space", "type the space again"))
    }

    /// Finds the fence around a block of code in Markdown, copied with the block.
    fn markdown_fence(&self) -> Option<Description> {
        let is_fence = |line: &str| line.starts_with("```") || line.starts_with("~~~");
        let mut lines = self.lines_before().take(2).filter(|(start, _)| !self.is_in_block(*start));
        let (at, _) = lines.find(|(_, line)| is_fence(line))?;
        Some((at, "this line belongs to a page in Markdown, not to the configuration", "remove it"))
    }

    /// Finds the line that ended the here-document of a script, copied with the file.
    fn end_of_here_document(&self) -> Option<Description> {
        let mut lines = self.lines_before().take(2).filter(|(start, _)| self.column(*start) == 1);
        let (at, _) = lines.find(|(_, line)| matches!(*line, "EOF" | "EOT"))?;
        Some((at, "this line belongs to a here-document of a shell, not to the configuration", "remove it"))
    }

    /// Finds the key of a block, `key: |`, whose text is not indented. The parser takes the text for a key.
    fn block_not_indented(&self) -> Option<Description> {
        let key_of = |line| {
            let (start, content) = without_dashes(line);
            Key::of(content).map(|key| (start, key.value))
        };
        let has_key = |line| has_colon(without_dashes(line).1);
        let mut lines = self.lines_before().skip_while(|line| line.0 >= self.byte || has_key(*line));
        let mut text = lines.next()?.0;
        let (start, value) = lines.find_map(|line| {
            let key = key_of(line);
            text = if key.is_none() { line.0 } else { text };
            key
        })?;
        (is_block(value) && self.column(text) <= self.column(start)).then_some((
            start,
            "the text of this block is not indented",
            "indent each line of the text more than the key",
        ))
    }

    /// Finds an entry whose `-` is not followed by a space, or is another kind of dash. The parser takes it for a value, and notices
    /// the error at the next key.
    fn dash_without_space(&self) -> Option<Description> {
        if !self.expects_no_key() {
            return None;
        }
        let (at, line) = self.lines_before().nth(1)?;
        let rest = line.strip_prefix(['-', '\u{2013}', '\u{2014}'])?;
        let is_hyphen = line.starts_with('-');
        let is_below_entry = self.lines_before().nth(2).is_some_and(|(above, content)| {
            content.starts_with("- ") && self.column(above) == self.column(at)
        });
        let is_entry = is_below_entry || Key::of(rest.trim_start()).is_some();
        if !is_entry || (is_hyphen && rest.starts_with([' ', '-'])) {
            return None;
        }
        Some(if is_hyphen {
            (at, "missing space after `-`", "put a space after the `-`")
        } else {
            (at, "a long dash in the place of a `-`", "type the `-` again")
        })
    }

    /// Returns whether the parser has found a `:` where no key can be.
    fn expects_no_key(&self) -> bool {
        self.is("simple key") || self.is("mapping values are not allowed")
    }

    /// Finds a key without a `:`, or without a space after it. The parser takes it for a value that continues on the next line, and
    /// notices the error at the key there, or after it.
    fn missing_colon(&self) -> Option<Description> {
        let missing_space = |line: (usize, &str)| {
            let (start, content) = without_dashes(line);
            let colon = colon_without_space(content)?;
            let is_entry = start != line.0;
            let (name, value) = (&content[..colon], &content[colon + 1..]);
            // The entry of a list can be an address with a port, or a pin.
            let is_value = name == "sha256" || value.bytes().all(|byte| byte.is_ascii_digit());
            (!is_entry || !is_value).then_some((start + colon, "missing space after `:`", MISSING_COLON_HELP))
        };
        if !self.expects_no_key() {
            // A comment ends the value, so the parser does not take the next key for a part of it.
            let is_after_comment = |line: &(usize, &str)| {
                self.is("comment intercepting")
                    || (self.is("expected '-'") && self.index.text()[line.0..self.byte].contains(" #"))
            };
            return self.lines_before().take(2).filter(is_after_comment).find_map(missing_space);
        }
        let has_key = |line| has_colon(without_dashes(line).1);
        let mut lines = self.lines_before().filter(|(start, _)| *start < self.byte);
        let mut line = lines.next()?;
        if has_key(line) {
            // A second `:` on the line is a mistake of its own.
            if self.index.text()[line.0..self.byte].contains(": ") {
                return None;
            }
            line = lines.find(|(above, _)| self.column(*above) <= self.column(line.0))?;
        }
        if let Some(found) = missing_space(line) {
            return Some(found);
        }
        if has_key(line) {
            return None;
        }
        // The value continues over all lines without a key, except those that end another value.
        let ends_a_value = |line: &str| line.starts_with("- ") || line.ends_with([']', '}', '"', '\'']);
        let above = lines.take_while(|line| !has_key(*line) && !ends_a_value(line.1));
        let first = above.filter(|(above, _)| self.column(*above) <= self.column(line.0)).last();
        let line = first.unwrap_or(line);
        let (start, content) = without_dashes(line);
        let is_key = !content.starts_with(['"', '\'', '[', '{']);
        missing_space(line)
            .or_else(|| is_key.then_some((start, "missing `:` after a key", MISSING_COLON_HELP)))
    }

    /// Finds a key that is indented as if it belonged to the value of the key on the line above.
    fn key_below_a_value(&self) -> Option<Description> {
        let mut lines = self.lines_before();
        let (start, line) = lines.next().filter(|_| self.is("mapping values are not allowed"))?;
        let (above, content) = without_dashes(lines.next()?);
        let is_key = Key::of(line).is_some_and(|key| start + key.name.len() >= self.byte);
        let has_value = content.split_once(": ").is_some_and(|(_, value)| !value.trim().is_empty());
        (is_key && has_value && self.column(above) < self.column(start)).then_some((
            start,
            "this key is indented more than the one above it, which has a value",
            "align it with the other keys of its map",
        ))
    }

    /// Finds a variable such as `${NAME}` in a list or a map in brackets, where its brackets end the value.
    fn variable_in_brackets(&self) -> Option<Description> {
        let (start, line) = self.line(self.index.position(self.byte).line)?;
        // The parser may notice the bracket of the variable itself.
        let before = line.get(..=self.byte.checked_sub(start)?)?;
        let at = before.rfind("${").filter(|at| !before[*at..].contains(['"', '\'']))?;
        let help = "put quotes around the value, and note that variables are not expanded";
        before[..at].contains(['{', '[']).then_some((start + at, "`${` in brackets without quotes", help))
    }

    /// Finds a key that is indented differently than those of every open map.
    fn misaligned_key(&self) -> Option<Description> {
        let (start, line) = self.lines_before().next()?;
        let name = Key::of(line)?.name;
        if start + name.len() < self.byte {
            None
        } else if self.is("expected key") || (self.is("expected '-'") && self.is_within_entry(start)) {
            let message = "this key is not aligned with those above it";
            Some((start, message, "align it with the other keys of its map"))
        } else if self.is("expected '-'") && self.is_aligned_with_entry(start) {
            let message = "this key is aligned with the entries of the list above it";
            let help = if self.column(start) == 1 {
                "indent it more if it belongs to the last entry"
            } else {
                "indent it more if it belongs to the last entry, and otherwise less"
            };
            Some((start, message, help))
        } else {
            None
        }
    }

    /// Returns whether the last entry of a list before a byte begins in the same column.
    fn is_aligned_with_entry(&self, byte: usize) -> bool {
        self.entry_before(byte).is_some_and(|(start, _)| self.column(start) == self.column(byte))
    }

    /// Returns whether a byte is right of the `-` of the last entry of a list before it, and left of the first key of that entry.
    fn is_within_entry(&self, byte: usize) -> bool {
        self.entry_before(byte).is_some_and(|entry| {
            let (first_key, _) = without_dashes(entry);
            (self.column(entry.0) + 1..self.column(first_key)).contains(&self.column(byte))
        })
    }

    /// Returns whether a line, given by the byte at which it starts, belongs to the text of a block, `key: |`.
    fn is_in_block(&self, byte: usize) -> bool {
        let is_less_indented = |start| self.column(start) < self.column(byte);
        let mut above = self.lines_before().filter(|(start, _)| *start < byte && is_less_indented(*start));
        above.next().is_some_and(|(_, line)| line.rsplit_once(": ").is_some_and(|(_, value)| is_block(value)))
    }

    /// Returns the line of the last entry of a list before a byte.
    fn entry_before(&self, byte: usize) -> Option<(usize, &'a str)> {
        self.lines_before().find(|(start, line)| *start < byte && line.starts_with("- "))
    }

    fn column(&self, byte: usize) -> usize {
        self.index.position(byte).column
    }

    fn other(&self) -> Description {
        let (mut byte, mut parser_message) = (self.byte, self.parser_message);
        let mut before = self.lines_before().filter(|(start, _)| *start < byte);
        let is_colon = |byte: usize| self.index.text()[byte..].starts_with(':');
        if self.is("<document start>") && is_colon(byte) {
            return (byte, "missing space after `:`", MISSING_COLON_HELP);
        } else if self.is("<document start>")
            && let Some((start, line)) = before.next()
            && line.starts_with('%')
        {
            (byte, parser_message) = (start, "directive");
        } else if self.is("invalid indentation") && self.index.text()[byte..].starts_with([']', '}']) {
            return (byte, "closing bracket is not indented", "align it with the key, or indent it more");
        } else if self.is("expected key") {
            // The parser reports an item of a list after its `- `.
            let item = self.index.text()[..byte].trim_end_matches(' ').strip_suffix('-');
            byte = item.map_or(byte, str::len);
        }
        let known = SYNTAX.iter().find(|(pattern, ..)| parser_message.contains(pattern));
        known.map_or((byte, "invalid YAML", ""), |(_, message, help)| (byte, message, help))
    }
}

/// A line of a map: a name, as the properties of a configuration have it, a `:`, and perhaps a value.
struct Key<'a> {
    name: &'a str,
    value: &'a str,
}

impl<'a> Key<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (name, value) = line.split_once(':')?;
        let is_key = !name.is_empty() && is_name(name) && (value.is_empty() || value.starts_with(' '));
        is_key.then_some(Self { name, value: value.trim() })
    }
}

/// Returns the content of an entry of a list, or of any other line, with the byte at which it starts.
fn without_dashes((start, line): (usize, &str)) -> (usize, &str) {
    let mut content = line;
    while let Some(rest) = content.strip_prefix("- ") {
        content = rest.trim_start();
    }
    (start + line.len() - content.len(), content)
}

/// Returns whether the value of a key begins a block, whose text is on the following lines.
fn is_block(value: &str) -> bool {
    matches!(value, "|" | "|-" | "|+" | ">" | ">-" | ">+")
}

/// Returns whether a line has a key of any form, such as the name of a label.
fn has_colon(content: &str) -> bool {
    content.ends_with(':') || content.contains(": ")
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Returns the place of the `:` after a name, perhaps in quotes, that is followed by a value without a space.
fn colon_without_space(line: &str) -> Option<usize> {
    let (name, value) = line.split_once(':')?;
    let unquoted = name.trim_matches(['"', '\'']);
    (is_name(unquoted) && !value.is_empty() && !value.starts_with(' ') && !value.starts_with("//"))
        .then_some(name.len())
}

const MISSING_COLON_HELP: &str = "write `key: value`, with a space after the `:`";

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
