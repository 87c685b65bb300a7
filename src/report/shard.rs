//! What is reported about a shard: one line for people, and an event for `merge`.

use serde::Serialize;

use super::messages::count;
use super::view::View;
use crate::model::duration::brief;
use crate::model::shard::{LongUnit, ShardPlan, ShardWork, UnitSize};

/// `2/5: 400 of 2000 tests, 12.3 s of 60.1 s`
pub fn summary(plan: &ShardPlan) -> String {
    let own = plan.tests.len();
    let work = match plan.work {
        Some(ShardWork { own, all }) => format!(", {} of {}", brief(own), brief(all)),
        None => String::new(),
    };
    format!("{}: {own} of {}{work}", plan.shard, count(own + plan.elsewhere, "test"))
}

/// Why the shards cannot have the same work.
pub fn unbalanced(unit: &LongUnit) -> String {
    let LongUnit { name, shard, size } = unit;
    let name = if name.contains(' ') { name.clone() } else { format!("`{name}`") };
    match size {
        UnitSize::Work { unit, share } => format!(
            "the shards are unbalanced: {name} in shard {shard} cannot be divided and takes {}; a fair share is {}",
            brief(*unit),
            brief(*share)
        ),
        UnitSize::Tests { unit, share } => format!(
            "the shards are unbalanced: {name} in shard {shard} cannot be divided and has {}; a fair share is {share}",
            count(*unit, "test")
        ),
    }
}

/// The event of a shard, in a run and in a plan.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShardLine<'l> {
    shard: usize,
    shards: usize,
    plan: &'l str,
    pipeline: Option<&'l str>,
    in_other_shards: usize,
    seconds: Option<f64>,
    seconds_of_all: Option<f64>,
    unbalanced: Option<String>,
    binaries: Vec<BinaryLine<'l>>,
}

/// The tests of one binary that belong to a shard.
#[derive(Serialize)]
struct BinaryLine<'l> {
    id: &'l str,
    package: &'l str,
    binary: &'l str,
    kind: &'l str,
    /// How many tests the binary has, selected or not.
    listed: usize,
    tests: Vec<&'l str>,
}

pub fn line<'l>(plan: &'l ShardPlan, view: &View<'l>) -> ShardLine<'l> {
    let mut binaries: Vec<(usize, BinaryLine<'l>)> = Vec::new();
    for test in &plan.tests {
        let listing = &view.inventory.listings[test.listing];
        let name = listing.tests[test.test].name.as_str();
        match binaries.last_mut() {
            Some((last, line)) if *last == test.listing => line.tests.push(name),
            _ => {
                let binary = &listing.binary;
                let line = BinaryLine {
                    id: &binary.prefix,
                    package: &binary.package_name,
                    binary: &binary.name,
                    kind: binary.kind,
                    listed: listing.tests.len(),
                    tests: vec![name],
                };
                binaries.push((test.listing, line));
            }
        }
    }
    let seconds = |of: fn(&ShardWork) -> std::time::Duration| {
        plan.work.as_ref().map(|work| (of(work).as_secs_f64() * 1e3).round() / 1e3)
    };
    ShardLine {
        shard: plan.shard.index,
        shards: plan.shard.total,
        plan: &plan.fingerprint,
        pipeline: plan.pipeline.as_deref(),
        in_other_shards: plan.elsewhere,
        seconds: seconds(|work| work.own),
        seconds_of_all: seconds(|work| work.all),
        unbalanced: plan.unbalanced.as_ref().map(unbalanced),
        binaries: binaries.into_iter().map(|(_, line)| line).collect(),
    }
}
