//! The generators of this repository: one row per `cargo xtask` command that generates files.

use std::path::Path;

use anyhow::{Result, bail};

use crate::generated::{GeneratedFile, check, write};
use crate::{docs, proto, schema};
use xtask_launcher::{print_line, root};

/// A command that generates files.
pub(crate) struct Generator {
    /// The name of the command.
    name: &'static str,
    /// Returns the expected files. Does not write to the repository.
    generate: fn() -> Result<Vec<GeneratedFile>>,
    /// Directories that contain only generated files.
    directories: &'static [&'static str],
}

impl Generator {
    pub(crate) const SCHEMA: Self = Self { name: "schema", generate: schema::generate, directories: &[] };
    pub(crate) const DOCS: Self =
        Self { name: "docs", generate: docs::generate, directories: docs::DIRECTORIES };
    pub(crate) const PROTO: Self = Self { name: "proto", generate: proto::generate, directories: &[] };

    /// Writes the files in this repository or, with `--check`, checks that they are up to date.
    ///
    /// # Errors
    ///
    /// Returns an error if an argument is unknown, if generation or a write fails, or if a checked file is out of date.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<()> {
        match arguments {
            [] => {
                for path in write(&root()?, self.directories, &(self.generate)()?)? {
                    print_line(&format!("updated {path}"));
                }
                Ok(())
            }
            ["--check"] => self.check_in(&root()?),
            other => bail!("unexpected arguments {other:?}; the only option is --check"),
        }
    }

    fn check_in(&self, root: &Path) -> Result<()> {
        check(root, self.directories, &format!("cargo xtask {}", self.name), &(self.generate)()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_up_to_date(generator: &Generator) {
        if let Err(error) = generator.check_in(&root().unwrap()) {
            panic!("{error:#}");
        }
    }

    #[test]
    fn the_schemas_are_up_to_date() {
        assert_up_to_date(&Generator::SCHEMA);
    }

    #[test]
    fn the_pages_are_up_to_date() {
        assert_up_to_date(&Generator::DOCS);
    }

    #[test]
    fn the_protobuf_code_is_up_to_date() {
        assert_up_to_date(&Generator::PROTO);
    }

    #[test]
    fn a_failing_check_names_every_stale_file_and_the_command() {
        let empty = tempfile::tempdir().unwrap();
        for generator in [Generator::SCHEMA, Generator::DOCS, Generator::PROTO] {
            let message = generator.check_in(empty.path()).unwrap_err().to_string();
            let first_line = message.lines().next().unwrap();
            let last_line = message.lines().last().unwrap();
            for GeneratedFile { path, .. } in (generator.generate)().unwrap() {
                assert!(first_line.contains(&path), "{path} is not in {first_line}");
            }
            assert!(last_line.contains(&format!("`cargo xtask {}`", generator.name)), "{last_line}");
        }
    }
}
