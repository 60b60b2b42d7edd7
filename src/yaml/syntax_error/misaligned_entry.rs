//! Finds an entry of a list that is not aligned with the entries before it.

use super::super::problem::{Problem, ProblemKind};
use super::SyntaxError;

/// An entry of a list before the error.
struct Entry {
    indent: usize,
    line: usize,
}

impl SyntaxError<'_, '_> {
    /// Describes the entry on the line of the error if a list is open there whose entries are indented differently. The
    /// parser expects a key or another entry in its place.
    pub(super) fn misaligned_entry(&self) -> Option<Problem> {
        let is_out_of_place = self.is("expected key") || self.is("expected '-'");
        let mut lines = self.lines_before();
        let line = lines.next().filter(|line| is_out_of_place && is_entry(line.text))?;
        let indent = self.indent(line.start);
        // The innermost list of those whose entries are indented most similarly.
        let (entry, key) =
            self.open_lists().into_iter().rev().min_by_key(|(entry, _)| entry.indent.abs_diff(indent))?;
        let how = match indent.cmp(&entry.indent) {
            std::cmp::Ordering::Less => "less",
            std::cmp::Ordering::Equal => return None,
            std::cmp::Ordering::Greater => "more",
        };
        let message = format!("this entry is indented {how} than the others of the list");
        let help = format!("align it with the entry on line {}", entry.line);
        let problem =
            Problem::new(ProblemKind::Syntax, message, &help).with_span(self.index.char_at(line.start));
        Some(match key {
            Some(key) => problem.with_key(key),
            None => problem,
        })
    }

    /// Returns the latest entry of each list that is open at the error, from the inside, with the key of the list.
    fn open_lists(&self) -> Vec<(Entry, Option<&str>)> {
        let mut lists: Vec<(Entry, Option<&str>)> = Vec::new();
        // A line closes every list whose entries are indented more.
        let mut limit = usize::MAX;
        for line in self.lines_before().skip(1) {
            let indent = self.indent(line.start);
            let is_entry = is_entry(line.text);
            if let Some((_, key @ None)) = lists.last_mut()
                && (indent < limit || (indent == limit && !is_entry))
            {
                *key = line.text.trim_start_matches(['-', ' ']).split(':').next();
            }
            if is_entry && indent < limit {
                let line = self.index.position(line.start).line;
                lists.push((Entry { indent, line }, None));
            }
            limit = limit.min(indent);
        }
        lists
    }

    fn indent(&self, start: usize) -> usize {
        self.index.position(start).column - 1
    }
}

fn is_entry(line: &str) -> bool {
    line == "-" || line.starts_with("- ")
}
