//! `cargo xtask docs`: docs/telemetry.md and docs/configuration.md, from the schemas; docs/man and docs/completions, from the
//! definition of the command line.

mod collection;
mod command_line;
mod configuration;
mod environment;
mod manual;
mod markdown;
mod sections;
mod telemetry;

use anyhow::Result;

use crate::generated::GeneratedFile;

/// Returns the generated files.
pub(crate) fn generate() -> Result<Vec<GeneratedFile>> {
    let config = tbot::config::internal::schema::generate();
    let config_v1 = tbot::config::internal::schema::generate_v1();
    let event = tbot::event::internal::generate_schema();
    let telemetry = telemetry::page(&event, &config, &config_v1)?;
    let configuration = configuration::page(&config, &config_v1);
    let mut files = vec![
        GeneratedFile { path: "docs/telemetry.md".to_owned(), content: telemetry },
        GeneratedFile { path: "docs/configuration.md".to_owned(), content: configuration },
    ];
    files.extend(command_line::files()?);
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::root;

    #[test]
    fn no_file_is_left_of_a_command_that_has_been_removed() {
        let generated = generate().unwrap();
        for directory in ["docs/man", "docs/completions"] {
            for entry in std::fs::read_dir(root().join(directory)).unwrap() {
                let path = format!("{directory}/{}", entry.unwrap().file_name().display());
                assert!(generated.iter().any(|file| file.path == path), "{path} is not generated: remove it");
            }
        }
    }
}
