//! `tests/roll_call.rs` brings a harness that lists three names and does not know the second when
//! it is asked for it: it runs nothing and ends with exit code 0, as libtest does for a filter that
//! matches nothing.
//!
//! Under `cargo partest` `ada` and `charles` pass, and `grace` is missing, which fails the run: a
//! test without a verdict is never a pass.

pub fn is_present(name: &str) -> bool {
    !name.is_empty()
}
