//! The locks that running batches hold.

use std::collections::{BTreeSet, HashMap};

use super::group::Group;

#[derive(Debug, Default)]
pub struct HeldLocks {
    readers: HashMap<String, usize>,
    writers: BTreeSet<String>,
    pub exclusive: bool,
}

impl HeldLocks {
    pub fn refuses(&self, group: &Group) -> bool {
        let written = |name: &String| self.writers.contains(name);
        let read = |name: &String| self.readers.contains_key(name);
        self.exclusive
            || group.locks.read.iter().any(written)
            || group.locks.write.iter().any(|name| written(name) || read(name))
    }

    /// The locks that keep this group from starting.
    pub fn refusing<'g>(&self, group: &'g Group) -> impl Iterator<Item = &'g String> {
        let is_written = |name: &&String| self.writers.contains(*name);
        let is_held = move |name: &&String| is_written(name) || self.readers.contains_key(*name);
        group.locks.read.iter().filter(is_written).chain(group.locks.write.iter().filter(is_held))
    }

    pub fn hold(&mut self, group: &Group) {
        self.exclusive |= group.exclusive;
        self.writers.extend(group.locks.write.iter().cloned());
        for name in &group.locks.read {
            *self.readers.entry(name.clone()).or_default() += 1;
        }
    }

    pub fn release(&mut self, group: &Group) {
        self.exclusive &= !group.exclusive;
        for name in &group.locks.write {
            self.writers.remove(name);
        }
        for name in &group.locks.read {
            if let Some(count) = self.readers.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.readers.remove(name);
                }
            }
        }
    }
}
