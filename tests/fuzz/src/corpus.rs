//! The saved inputs of a test: one per line, with escapes as in a string literal.

use std::path::Path;

/// Returns the inputs in `tests/fuzz/corpus/NAME.txt`.
///
/// # Panics
///
/// Panics if the file cannot be read, or if a line is not a valid input.
pub(crate) fn read(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name).with_extension("txt");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parse = |line: &str| unescape(line).unwrap_or_else(|| panic!("{}: {line}", path.display()));
    text.lines().map(parse).collect()
}

/// Returns the bytes that [`u8::escape_ascii`] has written as `line`, or `None` if it has not.
fn unescape(line: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                quoted @ (b'\\' | b'"' | b'\'') => quoted,
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_a_round_trip() {
        let bytes: Vec<u8> = (0..=255).collect();
        let line = bytes.escape_ascii().to_string();
        assert_eq!(unescape(&line), Some(bytes));
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_line_with_another_escape_is_rejected() {
        for line in ["\\", "\\y", "\\x1", "\\xgg"] {
            assert_eq!(unescape(line), None, "{line}");
        }
    }
}
