//! The example in the manual of nose's multiprocess plugin: three modules with the same fixture and
//! the same tests, which want it to be set up once and only once. They differ in what they say about
//! it: nothing (`not_shared`), `shared`, and `can_split`, which is not true.
//!
//! Under `cargo test` all three behave the same and pass, and so they do in one process each (`-j 0`).
//! Under `cargo partest` the three tests of `not_shared` stay together, as a unit in which a second
//! place changes nothing at all; those of `shared` go to three processes, and find what the runner
//! has set up for them; and of `can_split` one passes and two fail, as the manual says it must be,
//! since its fixture is set up again in every process.
