//! The commands on the page about prehog.

use std::path::Path;

use prehog::clock;
use prehog::day::Day;
use prehog::load::Agents;
use tbot_documentation::{Page, Session};

use crate::fixture::sqlite_in;

#[test]
fn the_commands_of_the_page_print_what_it_shows() {
    let session = Session::new(Path::new(env!("CARGO_BIN_EXE_prehog")));
    let today = Day::of(clock::system()());
    let agents = Agents::new(1).unwrap();
    let starts: Vec<_> = (0..100).map(|number| agents.submission(number, today.plus(-14))).collect();
    sqlite_in(session.directory()).open().unwrap().append(&starts).unwrap();
    assert_eq!(session.run(&Page::read("docs/prehog.md")), 3);
}
