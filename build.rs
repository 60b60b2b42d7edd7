//! Links the released program without its tables for unwinding, an eighth of its size: a panic prints where it happened
//! and aborts, so nothing ever reads them.

#![expect(clippy::disallowed_methods, reason = "cargo speaks to a build script by the environment")]

use std::env::var;
use std::path::Path;
use std::{fs, io};

/// Both GNU's linker and LLVM's add this to the script that they have built in.
const SCRIPT: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame .eh_frame_hdr .gcc_except_table .gcc_except_table.*) } } INSERT AFTER .text;\n";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, wanted: &str| var(name).is_ok_and(|value| value == wanted);
    // The profile that has `panic = "abort"`; elsewhere, panics unwind.
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") {
        let folder = var("OUT_DIR").map_err(io::Error::other)?;
        let script = Path::new(&folder).join("without-unwinding.ld");
        fs::write(&script, SCRIPT)?;
        println!("cargo::rustc-link-arg-bin=tbot=-Wl,-T,{}", script.display());
    }
    Ok(())
}
