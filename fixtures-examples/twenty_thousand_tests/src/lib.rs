//! Twenty thousand tiny tests in eight modules, written by the build script. Their names alone are
//! more than a megabyte, too much for the arguments of one process on most systems. `FIXTURE_TESTS`
//! says another number.
//!
//! Under `cargo partest` all pass.

#[cfg(test)]
include!(concat!(env!("OUT_DIR"), "/books.rs"));

/// What each of the tests does.
#[cfg(test)]
fn stands(number: usize) {
    assert!(
        number < std::hint::black_box(1_000_000),
        "book {number} is not in the catalogue"
    );
}
