//! What may hold up a run: for how long tests, units, locks and exclusive tests keep others from
//! running beside them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::group::{Group, Isolation};
use crate::config::keys::Threads;
use crate::model::bottleneck::{Bottleneck, BottleneckKind};

/// Whatever takes at least this part of a run holds it up.
const MOST: f64 = 0.7;

#[derive(Debug, Default)]
pub struct Occupancy {
    longest_test: Option<Bottleneck>,
    longest_batch: Option<Bottleneck>,
    /// Batches of a unit run one after another.
    units: BTreeMap<String, (BottleneckKind, Duration)>,
    locks: BTreeMap<String, Duration>,
    exclusive: BTreeMap<String, Duration>,
}

impl Occupancy {
    /// Notes how long a test has run.
    pub fn note_test(&mut self, took: Duration, what: impl FnOnce() -> String) {
        if self.longest_test.as_ref().is_none_or(|longest| longest.took < took) {
            self.longest_test = Some(Bottleneck { what: what(), took, kind: BottleneckKind::Test });
        }
    }

    /// Notes how long a batch of a group has run.
    pub fn note_batch(&mut self, group: &Group, took: Duration) {
        if group.isolation == Isolation::Unit {
            let kind = match group.threads {
                Threads::Exactly(1) => BottleneckKind::Serial,
                _ => BottleneckKind::Unit,
            };
            self.units.entry(group.node.clone()).or_insert((kind, Duration::ZERO)).1 += took;
        } else if self.longest_batch.as_ref().is_none_or(|longest| longest.took < took) {
            let (what, kind) = (group.node.clone(), BottleneckKind::Batch);
            self.longest_batch = Some(Bottleneck { what, took, kind });
        }
        for lock in &group.locks.write {
            *self.locks.entry(lock.clone()).or_default() += took;
        }
        if group.exclusive {
            *self.exclusive.entry(group.node.clone()).or_default() += took;
        }
    }

    /// What takes most of a run that takes so long; the most specific of those that take the same
    /// time.
    pub fn bottleneck(self, total: Duration) -> Option<Bottleneck> {
        let units =
            self.units.into_iter().map(|(what, (kind, took))| Bottleneck { what, took, kind });
        let locks = self.locks.into_iter();
        let locks = locks.map(|(what, took)| Bottleneck { what, took, kind: BottleneckKind::Lock });
        let kind = BottleneckKind::Exclusive;
        let exclusive = (!self.exclusive.is_empty()).then(|| Bottleneck {
            took: self.exclusive.values().sum(),
            what: self.exclusive.into_keys().collect::<Vec<_>>().join("`, `"),
            kind,
        });
        let all = exclusive.into_iter().chain(locks).chain(self.longest_batch).chain(units);
        let all = all.chain(self.longest_test);
        // A test takes a little less than the unit that waits for it.
        let counts = |found: &Bottleneck| match found.kind {
            BottleneckKind::Test => found.took.as_secs_f64() / MOST,
            _ => found.took.as_secs_f64(),
        };
        let longest =
            all.max_by(|a, b| counts(a).total_cmp(&counts(b)).then(a.kind.cmp(&b.kind)))?;
        (longest.took.as_secs_f64() >= MOST * total.as_secs_f64()).then_some(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::schedule::tests::group;

    fn found(note: impl Fn(&mut Occupancy), total: u64) -> Option<(BottleneckKind, String)> {
        let mut occupancy = Occupancy::default();
        note(&mut occupancy);
        let found = occupancy.bottleneck(Duration::from_secs(total))?;
        Some((found.kind, found.what))
    }

    #[test]
    fn the_most_specific_cause_is_named() {
        let seconds = Duration::from_secs;
        let mut unit = group(0, Isolation::Unit, &[]);
        unit.locks.write.push("port".into());
        let node = unit.node.clone();
        let in_unit = |threads| {
            let unit = Group { threads, ..unit.clone() };
            move |all: &mut Occupancy| {
                all.note_batch(&unit, seconds(4));
                all.note_batch(&unit, seconds(5));
            }
        };
        let is = |kind, what: &str| Some((kind, what.to_owned()));
        let auto = in_unit(Threads::Auto);
        assert_eq!(found(&auto, 10), is(BottleneckKind::Unit, &node));
        assert_eq!(found(&auto, 13), None, "it takes less than most of the time");
        assert_eq!(found(in_unit(Threads::Exactly(1)), 10), is(BottleneckKind::Serial, &node));
        let long_test = |all: &mut Occupancy| {
            auto(all);
            all.note_test(seconds(2), || "short".into());
            all.note_test(seconds(8), || "long".into());
            all.note_test(seconds(3), || "short".into());
        };
        assert_eq!(found(long_test, 10), is(BottleneckKind::Test, "long"));
        let others = |all: &mut Occupancy| {
            auto(all);
            let mut other = unit.clone();
            other.node = "other".into();
            all.note_batch(&other, seconds(9));
        };
        assert_eq!(found(others, 18), is(BottleneckKind::Lock, "port"));
        let exclusive = |all: &mut Occupancy| {
            for node in ["one", "two"] {
                let group = Group { node: node.into(), exclusive: true, ..unit.clone() };
                all.note_batch(&Group { locks: Default::default(), ..group }, seconds(4));
            }
        };
        assert_eq!(found(exclusive, 10), is(BottleneckKind::Exclusive, "one`, `two"));
    }
}
