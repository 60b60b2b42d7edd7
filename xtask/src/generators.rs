//! The generators of this repository: one row per `cargo xtask` command that generates files.

use std::path::Path;

use anyhow::{Result, bail};

use crate::generated::{GeneratedFile, check, write};
use crate::workspace::{print_line, root};
use crate::{docs, proto, schema};

/// All generators.
pub(crate) const GENERATORS: [Generator; 3] = [
    Generator { name: "schema", generate: schema::generate },
    Generator { name: "docs", generate: docs::generate },
    Generator { name: "proto", generate: proto::generate },
];

/// Whether generated files are written, or compared with those in the repository.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

impl Mode {
    /// Parses the arguments of a generator's command.
    pub(crate) fn from_arguments(arguments: &[&str]) -> Result<Self> {
        match arguments {
            [] => Ok(Self::Write),
            ["--check"] => Ok(Self::Check),
            other => bail!("unexpected arguments {other:?}; the only option is --check"),
        }
    }
}

/// A command that generates files.
pub(crate) struct Generator {
    /// The name of the command.
    pub(crate) name: &'static str,
    /// Returns the expected files. Does not write to the repository.
    generate: fn() -> Result<Vec<GeneratedFile>>,
}

impl Generator {
    /// Writes or checks the files in this repository.
    ///
    /// # Errors
    ///
    /// Returns an error if generation or a write fails or, in [`Mode::Check`], if a file is out of date.
    pub(crate) fn run(&self, mode: Mode) -> Result<()> {
        match mode {
            Mode::Write => {
                for path in write(&root(), &(self.generate)()?)? {
                    print_line(&format!("wrote {path}"));
                }
                Ok(())
            }
            Mode::Check => self.check_in(&root()),
        }
    }

    fn check_in(&self, root: &Path) -> Result<()> {
        check(root, &format!("cargo xtask {}", self.name), &(self.generate)()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(name: &str) -> &'static Generator {
        GENERATORS.iter().find(|generator| generator.name == name).unwrap()
    }

    fn assert_up_to_date(name: &str) {
        if let Err(error) = generator(name).run(Mode::Check) {
            panic!("{error:#}");
        }
    }

    #[test]
    fn the_schemas_are_up_to_date() {
        assert_up_to_date("schema");
    }

    #[test]
    fn the_pages_are_up_to_date() {
        assert_up_to_date("docs");
    }

    #[test]
    fn the_protobuf_code_is_up_to_date() {
        assert_up_to_date("proto");
    }

    #[test]
    fn a_failing_check_names_every_stale_file_and_the_command() {
        let empty = tempfile::tempdir().unwrap();
        for generator in &GENERATORS {
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
