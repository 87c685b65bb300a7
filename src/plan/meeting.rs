//! Whether tests of two groups can run at the same time in different processes.

use super::group::{Group, Isolation};
use crate::config::keys::Locks;
use crate::sharing::lock;

/// Whether tests of these groups, which may be one, can do so but for learnt locks.
pub fn may_meet(one: &Group, other: &Group) -> bool {
    let is_one_process = std::ptr::eq(one, other) && one.isolation == Isolation::Unit;
    !is_one_process && !one.exclusive && !other.exclusive && !are_kept_apart(one, other)
}

/// Whether declared locks keep them apart.
fn are_kept_apart(one: &Group, other: &Group) -> bool {
    let declared = |names: &[String]| -> Vec<String> {
        names.iter().filter(|name| lock::thing_of(name).is_none()).cloned().collect()
    };
    let writes = |group: &Group| declared(&group.locks.write);
    let takes = |group: &Group| {
        let Locks { read, write } = &group.locks;
        [declared(read), declared(write)].concat()
    };
    let meet = |written: Vec<String>, taken: Vec<String>| written.iter().any(|n| taken.contains(n));
    meet(writes(one), takes(other)) || meet(writes(other), takes(one))
}
