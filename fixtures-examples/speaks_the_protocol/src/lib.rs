//! `tests/pages.rs` brings a small harness of its own, which makes a test of every page of a manual
//! and understands what `libtest-mimic` 0.8 does: one filter only.
//!
//! Under `cargo partest` its tests appear by name: four pass, one is ignored, and with
//! `--features broken` one more fails. Since two names at once are a usage error there, each test
//! gets a process of its own and is judged by its exit code.

/// The pages of the manual, each with its text.
pub fn pages() -> Vec<(&'static str, &'static str)> {
    vec![
        ("intro", "Welcome to the manual."),
        ("usage", "Turn the handle twice."),
        ("repair::handle", "Tighten the screw."),
        ("repair::screw", "Turn it to the right."),
        ("appendix", "to be written"),
        #[cfg(feature = "broken")]
        ("repair::glue", "Wait for an hour"),
    ]
}

/// What is wrong with a page, if something is.
pub fn check(text: &str) -> Result<(), String> {
    match text.chars().last() {
        Some('.') => Ok(()),
        Some(end) => Err(format!("the page ends with {end:?} instead of a full stop")),
        None => Err("the page is empty".to_owned()),
    }
}
