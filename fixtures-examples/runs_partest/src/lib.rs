//! A test that runs `cargo partest` itself, on the fixture `passes` beside this one.
//!
//! Under `cargo partest` it passes: the inner run leaves the outer one alone, and all is done within
//! the outer run's slots. The program is the one that `PARTEST_EXE` names while this is built, else
//! the `cargo-partest` of the `PATH`; without either the test is ignored, and says why.

/// The arguments with which cargo would start its subcommand for this manifest.
pub fn arguments(manifest: &str) -> [&str; 5] {
    [
        "partest",
        "--message-format",
        "json",
        "--manifest-path",
        manifest,
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_subcommand_comes_first() {
        assert_eq!(super::arguments("Cargo.toml")[0], "partest");
    }
}
