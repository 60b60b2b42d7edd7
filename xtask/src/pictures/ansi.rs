//! Text with ANSI escape sequences for colours.

/// The look of a part of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) is_bold: bool,
    pub(super) is_faint: bool,
    pub(super) colour: Option<Colour>,
}

/// A colour of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

/// Parts of a line, each with one style.
pub(super) type Line = Vec<(Style, String)>;

/// Splits a line into parts. Sequences that do not set a style are dropped.
pub(super) fn parse(text: &str) -> Line {
    let mut parts = text.split('\x1b');
    let mut style = Style::default();
    let mut line: Line = parts.next().map(|first| (style, first.to_owned())).into_iter().collect();
    for part in parts {
        let end = part.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(0);
        let (sequence, rest) = part.split_at(end);
        if let (Some(codes), Some(text)) = (sequence.strip_prefix('['), rest.strip_prefix('m')) {
            codes.split(';').for_each(|code| style = style.with(code));
            line.push((style, text.to_owned()));
        } else {
            line.push((style, rest.get(1..).unwrap_or_default().to_owned()));
        }
    }
    line.retain(|(_, text)| !text.is_empty());
    line
}

impl Style {
    fn with(self, code: &str) -> Self {
        let colour = |colour| Self { colour: Some(colour), ..self };
        match code {
            "" | "0" => Self::default(),
            "1" => Self { is_bold: true, ..self },
            "2" => Self { is_faint: true, ..self },
            "22" => Self { is_bold: false, is_faint: false, ..self },
            "31" | "91" => colour(Colour::Red),
            "32" | "92" => colour(Colour::Green),
            "33" | "93" => colour(Colour::Yellow),
            "34" | "94" => colour(Colour::Blue),
            "35" | "95" => colour(Colour::Magenta),
            "36" | "96" => colour(Colour::Cyan),
            "39" => Self { colour: None, ..self },
            _ => self,
        }
    }
}

/// Breaks a line where a terminal with this many columns does.
pub(super) fn wrap(line: Line, columns: usize) -> Vec<Line> {
    let mut lines = vec![Line::new()];
    let mut width = 0;
    for (style, text) in line {
        for letter in text.chars() {
            if width == columns {
                lines.push(Line::new());
                width = 0;
            }
            width += 1;
            if let Some(line) = lines.last_mut() {
                match line.last_mut() {
                    Some((last, text)) if *last == style => text.push(letter),
                    _ => line.push((style, letter.to_string())),
                }
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_sets_the_style_until_the_next_one() {
        let bold_red = Style { is_bold: true, colour: Some(Colour::Red), ..Style::default() };
        let line = parse("a \x1b[1;31mb\x1b[0m c\x1b[K");
        let plain = Style::default();
        assert_eq!(line, [(plain, "a ".to_owned()), (bold_red, "b".to_owned()), (plain, " c".to_owned())]);
    }

    #[test]
    fn a_long_line_is_broken_at_the_edge() {
        let lines = wrap(parse("ab\x1b[1mcd\x1b[0me"), 3);
        let texts = lines.iter().map(|line| line.iter().map(|(_, text)| text.as_str()).collect::<String>());
        assert_eq!(texts.collect::<Vec<_>>(), ["abc", "de"]);
        assert_eq!(wrap(Line::new(), 3).len(), 1);
    }
}
