//! Links the release build without unwind tables, which would make up an eighth of its size, and passes the address of the
//! package's documentation to the compiler.
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
    println!("cargo::rerun-if-changed=Cargo.toml");
    let manifest = fs::read_to_string("Cargo.toml")?;
    println!("cargo::rustc-env=CARGO_PKG_DOCUMENTATION={}", documentation(&manifest).unwrap_or_default());
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

/// Returns the key `documentation` of the package, which is the only address that Cargo itself does not pass on.
fn documentation(manifest: &str) -> Option<&str> {
    let mut package = manifest.lines().skip_while(|line| *line != "[package]").skip(1);
    let value = package
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .find_map(|line| line.strip_prefix("documentation")?.trim_start().strip_prefix('='));
    value?.trim().strip_prefix('"')?.strip_suffix('"')
}
