//! Renders the Markdown of a generated page for a terminal of 80 columns. A table becomes a list of terms, because its rows
//! would not fit. Code is not wrapped, so that it can be copied.

use anyhow::{Result, bail};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// The width of a line.
pub(super) const WIDTH: usize = 80;

/// Joins the words of inline code, so that a command is not divided between two lines.
const CODE_SPACE: char = '\u{a0}';

/// Renders Markdown with headings, paragraphs, lists, tables and code.
///
/// # Errors
///
/// Returns an error if the Markdown contains anything else, such as HTML.
pub(super) fn render(markdown: &str) -> Result<String> {
    let mut page = TerminalPage::default();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.add(event)?;
    }
    Ok(page.text)
}

#[derive(Default)]
struct TerminalPage {
    text: String,
    /// The inline content since the last block started.
    inline: String,
    /// The address of the link that is open.
    link: String,
    /// The number of lists that are open.
    depth: usize,
    /// The first row is the header.
    rows: Vec<Vec<String>>,
}

impl TerminalPage {
    fn add(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Text(text) => self.inline += &text,
            Event::Code(code) => self.inline += &format!("`{}`", code.replace(' ', &CODE_SPACE.to_string())),
            Event::SoftBreak => self.inline.push(' '),
            Event::Start(Tag::Link { dest_url, .. }) => self.link = dest_url.into_string(),
            // Other links lead to a heading or a file, which the text already names.
            Event::End(TagEnd::Link) if self.link.contains("://") => {
                self.inline += &format!(" ({})", self.link);
            }
            Event::End(TagEnd::Heading(level)) => {
                let heading = self.take_inline();
                let underline = match level {
                    HeadingLevel::H1 | HeadingLevel::H2 => "=",
                    _ => "-",
                };
                self.separate();
                let underline = underline.repeat(heading.chars().count());
                self.text += &format!("{}\n{underline}\n", heading.replace(CODE_SPACE, " "));
            }
            Event::End(TagEnd::Paragraph) => {
                self.separate();
                self.wrap("", "");
            }
            Event::Start(Tag::List(None)) => {
                // The text of an item ends where the list within it begins.
                match self.depth {
                    0 => self.separate(),
                    _ => self.write_item(),
                }
                self.depth += 1;
            }
            Event::End(TagEnd::List(_)) => self.depth -= 1,
            Event::End(TagEnd::Item) => self.write_item(),
            Event::End(TagEnd::CodeBlock) => {
                self.separate();
                for line in self.take_inline().trim_end().lines() {
                    self.text += &format!("    {line}\n");
                }
            }
            Event::Start(Tag::TableHead | Tag::TableRow) => self.rows.push(Vec::new()),
            Event::End(TagEnd::TableCell) => {
                let cell = self.take_inline();
                if let Some(row) = self.rows.last_mut() {
                    row.push(cell);
                }
            }
            Event::End(TagEnd::Table) => self.write_table(),
            Event::Start(
                Tag::Paragraph
                | Tag::Heading { .. }
                | Tag::Item
                | Tag::CodeBlock(_)
                | Tag::Table(_)
                | Tag::TableCell
                | Tag::Strong,
            )
            | Event::End(TagEnd::Strong | TagEnd::Link | TagEnd::TableHead | TagEnd::TableRow) => {}
            other => bail!("a terminal page cannot contain {other:?}"),
        }
        Ok(())
    }

    /// Returns the inline content, and clears it.
    fn take_inline(&mut self) -> String {
        std::mem::take(&mut self.inline)
    }

    /// Writes an empty line between two blocks.
    fn separate(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Writes the text of an item, if it is not yet written.
    fn write_item(&mut self) {
        if !self.inline.is_empty() {
            let indent = "  ".repeat(self.depth - 1);
            self.wrap(&format!("{indent}- "), &format!("{indent}  "));
        }
    }

    /// Writes each row of the table as a term, and below it the other cells. If there are several, each has the header of its
    /// column.
    fn write_table(&mut self) {
        self.separate();
        let mut rows = std::mem::take(&mut self.rows).into_iter();
        let header = rows.next().unwrap_or_default();
        for row in rows {
            for (column, cell) in row.into_iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
                let is_labelled = column > 0 && header.len() > 2;
                self.inline = if is_labelled { format!("{}: {cell}", header[column]) } else { cell };
                let indent = if column == 0 { "  " } else { "    " };
                self.wrap(indent, indent);
            }
        }
    }

    /// Writes the inline content in lines of at most [`WIDTH`] columns, unless a single word is longer. `first` begins the
    /// first line, and `rest` the others.
    fn wrap(&mut self, first: &str, rest: &str) {
        let content = self.take_inline();
        let mut line = first.to_owned();
        let mut is_empty = true;
        for word in content.split(' ').filter(|word| !word.is_empty()) {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.text += &format!("{line}\n");
                line = rest.to_owned();
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.extend(word.chars().map(|letter| if letter == CODE_SPACE { ' ' } else { letter }));
            is_empty = false;
        }
        self.text += &format!("{line}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_block_has_its_form() {
        let markdown = "# Title\n\nA *[link](#title)*".replace('*', "**")
            + ", [a page](https://example.com) and `a command --with flags`\nin a paragraph that is too long for one line.\n\n\
               - one\n- two\n  - three\n- four\n\n```sh\na  b\n```\n\n### Table\n\n| a | b |\n| --- | --- |\n| `x` | y\\|z |\n\n\
               | a | b | c |\n| --- | --- | --- |\n| x | | z |\n";
        assert_eq!(
            render(&markdown).unwrap(),
            "Title\n=====\n\n\
             A link, a page (https://example.com) and `a command --with flags` in a paragraph\n\
             that is too long for one line.\n\n\
             - one\n- two\n  - three\n- four\n\n    a  b\n\nTable\n-----\n\n  `x`\n    y|z\n\n  x\n    c: z\n"
        );
    }

    #[test]
    fn code_is_not_divided_and_lines_are_as_long_as_possible() {
        let widths = |code: &str| {
            let page = render(&format!("{}{code}", "word ".repeat(13))).unwrap();
            page.lines().map(str::len).collect::<Vec<_>>()
        };
        assert_eq!(widths("`one two three`"), [WIDTH]);
        assert_eq!(widths("`one two threes`"), [64, 16]);
    }

    #[test]
    fn html_is_an_error() {
        assert!(render("<details>\n").is_err());
        assert!(render("a <b>c</b>").is_err());
    }
}
