//! The manual pages: one per command, with a section per service in the page of `tbot start`.

use anyhow::Result;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::generated::GeneratedFile;

/// The version of all packages of the workspace.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the usage calls the subcommands that are services.
const SERVICE: &str = "SERVICE";

/// The manual of a program.
pub(super) struct Manual {
    pub(super) program: &'static str,
    /// The heading of every page.
    pub(super) title: &'static str,
}

impl Manual {
    /// Returns the pages.
    pub(super) fn pages(&self, definition: Command) -> Result<Vec<GeneratedFile>> {
        let definition = definition.disable_help_subcommand(true);
        let mut built = definition.clone();
        built.build();
        let mut files = Vec::new();
        self.add_pages(&built, &definition, &mut files)?;
        Ok(files)
    }

    /// Adds the page of a command and those of its subcommands. In `definition`, a command does not have the options that it
    /// inherits.
    fn add_pages(
        &self,
        command: &Command,
        definition: &Command,
        files: &mut Vec<GeneratedFile>,
    ) -> Result<()> {
        let name = command.get_display_name().unwrap_or(command.get_name());
        let content = self.page(command, definition)?;
        files.push(GeneratedFile { path: format!("docs/man/{name}.1"), content });
        if has_services(command) {
            return Ok(());
        }
        for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
            if let Some(definition) = definition.find_subcommand(subcommand.get_name()) {
                self.add_pages(subcommand, definition, files)?;
            }
        }
        Ok(())
    }

    fn page(&self, command: &Command, definition: &Command) -> Result<String> {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").to_owned();
        let command = command.clone().override_usage(usage).subcommand_help_heading("COMMANDS");
        let (examples, notes) = after_help(&command);
        let pages = Man::new(command.clone());

        let name = command.get_display_name().unwrap_or(command.get_name());
        // Without a date, which would change whenever the page is generated. The crate cannot write an empty argument.
        let Self { program, title } = self;
        let title = format!(".TH {name} 1 \"\" \"{program} {VERSION}\" \"{title}\"\n");
        let mut page = title.into_bytes();
        pages.render_name_section(&mut page)?;
        pages.render_synopsis_section(&mut page)?;
        let paragraphs: Vec<String> = description(&command).into_iter().chain(notes).collect();
        section("DESCRIPTION", &paragraphs).to_writer(&mut page)?;
        pages.render_options_section(&mut page)?;
        if has_services(definition) {
            if command.get_name() == "start" {
                services(definition, &mut page)?;
            } else {
                let services = "The services and their options are those of tbot-start(1).".to_owned();
                section("SERVICES", &[services]).to_writer(&mut page)?;
            }
        } else if command.get_subcommands().any(|subcommand| !subcommand.is_hide_set()) {
            pages.render_subcommands_section(&mut page)?;
        }
        if !examples.is_empty() {
            section("EXAMPLE", &[]).to_writer(&mut page)?;
        }
        for example in examples {
            unfilled(&example).to_writer(&mut page)?;
        }
        if command.get_name() != *program {
            section("SEE ALSO", &[format!("{program}(1)")]).to_writer(&mut page)?;
        }
        // Every part begins with the same definitions; one copy is enough.
        let definitions = Roff::new().render();
        Ok(definitions.clone() + &String::from_utf8(page)?.replace(&definitions, ""))
    }
}

fn has_services(command: &Command) -> bool {
    command.get_subcommand_value_name() == Some(SERVICE)
}

/// Returns the paragraphs that describe a command.
fn description(command: &Command) -> Vec<String> {
    let about = command.get_about().map(|about| format!("{about}.")).unwrap_or_default();
    let long_about = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    // The long description begins with the short one.
    [about].into_iter().chain(long_about.split("\n\n").skip(1).map(str::to_owned)).collect()
}

/// Returns the examples and the other paragraphs at the end of the help.
fn after_help(command: &Command) -> (Vec<String>, Vec<String>) {
    let text = command.get_after_long_help().or_else(|| command.get_after_help());
    let text = text.map(ToString::to_string).unwrap_or_default();
    let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.is_empty());
    let (examples, notes): (Vec<&str>, Vec<&str>) =
        paragraphs.partition(|paragraph| paragraph.starts_with("Example:"));
    let examples = examples.into_iter().map(|example| example.trim_start_matches("Example:\n").to_owned());
    (examples.collect(), notes.into_iter().map(str::to_owned).collect())
}

/// Writes a section with the options that each service has in addition to those of the command.
fn services(start: &Command, page: &mut Vec<u8>) -> Result<()> {
    section("SERVICES", &[]).to_writer(page)?;
    for service in start.get_subcommands() {
        let mut name = Roff::new();
        name.control("SS", [service.get_name()]);
        name.to_writer(page)?;
        // The short description of a service that is not supported ends with the mark of the list in the help.
        let about = service.get_long_about().or_else(|| service.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let sentences = about.split("\n\n").map(|sentence| format!("{}.", sentence.trim_end_matches('.')));
        Roff::new().text([roman(sentences.collect::<Vec<_>>().join(" "))]).to_writer(page)?;
        let own = service.clone().disable_help_flag(true);
        if own.get_arguments().any(|arg| !arg.is_hide_set()) {
            let mut options = Vec::new();
            Man::new(own).render_options_section(&mut options)?;
            page.extend(String::from_utf8(options)?.replace(".SH OPTIONS\n", "").into_bytes());
        }
        let (examples, _) = after_help(service);
        for example in examples {
            let mut gap = Roff::new();
            gap.control("PP", []);
            gap.to_writer(page)?;
            unfilled(&example).to_writer(page)?;
        }
    }
    Ok(())
}

fn section(heading: &str, paragraphs: &[String]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    for (index, paragraph) in paragraphs.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(paragraph)]);
    }
    roff
}

/// Lines that are not joined.
fn unfilled(text: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("nf", []);
    for line in text.lines() {
        roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    roff.control("fi", []);
    roff
}
