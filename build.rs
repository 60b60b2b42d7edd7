//! Links the release build without unwind tables, which would make up an eighth of its size.
//!
//! In the release profile, a panic prints its location and aborts, so the tables are never read.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo passes its settings to a build script in environment variables"
)]

use std::env::var;
use std::path::Path;
use std::{fs, io};

/// A linker script that removes the tables. `INSERT` makes the GNU and LLVM linkers add it to their default script.
const SCRIPT: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame .eh_frame_hdr .gcc_except_table .gcc_except_table.*) } } INSERT AFTER .text;\n";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, expected: &str| var(name).is_ok_and(|value| value == expected);
    // Only the release profile has `panic = "abort"`. The bench profile, for which PROFILE is `release` as well, unwinds and
    // differs in its optimization level.
    if is("PROFILE", "release") && is("OPT_LEVEL", "z") && is("CARGO_CFG_TARGET_OS", "linux") {
        let directory = var("OUT_DIR").map_err(io::Error::other)?;
        let script = Path::new(&directory).join("without-unwinding.ld");
        fs::write(&script, SCRIPT)?;
        println!("cargo::rustc-link-arg-bin=tbot=-Wl,-T,{}", script.display());
    }
    Ok(())
}
