//! The tests of the command as its users meet it: each starts `cargo partest` itself, on one of
//! `fixtures-examples/` or on a package that it writes, and looks at all that came of it.
//!
//! They are one program, whose modules are the subjects. Sixty programs took a third of the time of
//! `cargo test` to link and to wait for the last test of each.

#![cfg(feature = "command")]

mod agent;
mod archive;
mod bad_input;
mod beginning;
mod bisect;
mod changed;
mod choosing;
mod ci;
mod cli;
mod database;
mod debugger;
mod docs;
mod doctests;
mod doctor;
mod early;
mod elastic;
mod ending;
mod environment;
mod events;
mod fixture;
mod floods;
mod harnesses;
mod hooks;
mod ids;
mod junit;
mod junit_readers;
mod kept;
mod layers;
mod leaks;
mod ledger;
mod library;
mod libtest_json;
mod licences;
mod limits;
mod lineage;
mod lost_output;
mod markdown;
mod merge;
mod metadata;
mod metadata_schema;
mod nose;
mod output;
mod picture;
mod plan;
mod prepared;
mod profiles;
mod recipes;
mod retries;
mod self_check;
mod setup;
mod shards;
mod shared;
mod sharing;
mod state;
mod statics;
mod stream_end;
mod terminal;
mod torture;
mod verdicts;
