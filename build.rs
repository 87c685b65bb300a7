//! Builds the agent, a small shared object without dependencies, by one call of rustc.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: &str = "src/agent";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SOURCES}");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let object = PathBuf::from(variable("OUT_DIR")).join("agent.so");
    if has_agent() { compile(&object) } else { leave_empty(&object) }
}

/// Its records and registers are those of glibc on these two.
fn has_agent() -> bool {
    let is_linux = variable("CARGO_CFG_TARGET_OS") == "linux";
    let is_glibc = variable("CARGO_CFG_TARGET_ENV") == "gnu";
    let is_wide = variable("CARGO_CFG_TARGET_POINTER_WIDTH") == "64";
    let architecture = variable("CARGO_CFG_TARGET_ARCH");
    is_linux && is_glibc && is_wide && matches!(architecture.as_str(), "x86_64" | "aarch64")
}

/// The embedding code takes an empty object for "no agent here".
fn leave_empty(object: &Path) {
    std::fs::write(object, [])
        .unwrap_or_else(|error| fail(&format!("{}: {error}", object.display())));
}

fn compile(object: &Path) {
    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .args(["--crate-name", "partest_agent", "--crate-type", "cdylib", "--edition", "2024"])
        .args(["--target", &variable("TARGET")])
        .args(["-C", "panic=abort", "-C", "opt-level=2", "-C", "strip=symbols"])
        // A thread's own word has one address for all of the object's code.
        .args(["-C", "codegen-units=1"])
        // Other people's panics and cancellations pass through these functions.
        .args(["-C", "force-unwind-tables=yes"])
        .arg(Path::new(SOURCES).join("agent.rs"))
        .arg("-o")
        .arg(object);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.display()));
    }
    match rustc.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("the agent did not compile ({status}): {rustc:?}")),
        Err(error) => fail(&format!("the compiler did not start ({error}): {rustc:?}")),
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}")))
}

fn fail(why: &str) -> ! {
    println!("cargo::error={why}");
    std::process::exit(1)
}
