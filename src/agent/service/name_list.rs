//! A list of names from the cluster, for errors: of limited length, and safe to print.

use std::fmt;

use crate::untrusted::escape;

/// The number of names that a list contains.
const MAX_NAMED: usize = 10;

/// The first names of a list, and the number of all. Displays them as in `a, b and 3 more`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameList {
    names: Vec<String>,
    count: usize,
}

impl NameList {
    /// Returns the first names, escaped for a terminal.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the number of all names, including those that the list does not contain.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }
}

impl<N: AsRef<str>> FromIterator<N> for NameList {
    fn from_iter<I: IntoIterator<Item = N>>(all: I) -> Self {
        let (mut names, mut count) = (Vec::new(), 0);
        for name in all {
            count += 1;
            if count <= MAX_NAMED {
                names.push(escape(name.as_ref()).into_owned());
            }
        }
        Self { names, count }
    }
}

impl fmt::Display for NameList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(", "))?;
        match self.count - self.names.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_names_are_escaped() {
        let all: Vec<String> = (0..MAX_NAMED + 2).map(|number| format!("a\n{number}")).collect();
        let list: NameList = all.iter().collect();
        assert_eq!((list.names().len(), list.count()), (MAX_NAMED, MAX_NAMED + 2));
        assert_eq!(list.names()[0], r"a\n0");
        assert!(list.to_string().ends_with(" and 2 more"), "{list}");
        assert_eq!(["a", "b"].into_iter().collect::<NameList>().to_string(), "a, b");
    }
}
