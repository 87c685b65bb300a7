//! The wording of messages about things that tests of different processes share.

use super::messages::list;
use super::view::View;
use crate::model::interference::{Interference, InterferenceKind, LearntLock, SharedThing};
use crate::model::printable::printable;
use crate::model::test::TestId;
use crate::model::toml_string::toml_string;

/// Why a test failed that passed by itself, in one line, and in another one what keeps it from that.
pub fn interfered(view: &View<'_>, test: TestId, found: &Interference) -> [String; 2] {
    let line = |text: &str| printable(text.as_bytes()).replace('\n', " ");
    let other = view.interferer(found);
    let why = interference(&line(&other), &line(&found.thing.to_string()), found.kind);
    let nodes = [view.id(test), other].map(|id| module_of(&id).to_owned());
    [why, line(&lock_in_metadata(&nodes, &found.thing.lock_name()))]
}

/// `failed beside cli::clears, passed alone: /tmp/shop was removed while both used it`
pub fn interference(other: &str, thing: &str, kind: InterferenceKind) -> String {
    let what = match kind {
        InterferenceKind::Bound => format!("both bound {thing}"),
        InterferenceKind::Created => format!("both created {thing}"),
        InterferenceKind::Removed => format!("{thing} was removed while both used it"),
        InterferenceKind::Truncated => format!("{thing} was truncated while both used it"),
        InterferenceKind::Written => format!("{thing} was written while both used it"),
    };
    format!("failed beside {other}, passed alone: {what}")
}

/// The module of a test; of a binary, itself.
pub fn module_of(id: &str) -> &str {
    id.rsplit_once("::").map_or(id, |(module, _)| module)
}

/// What keeps tests of these nodes apart.
pub fn lock_in_metadata([one, other]: &[String; 2], lock: &str) -> String {
    let key = |node: &str| format!("{} = {{ locks = [{}] }}", toml_string(node), toml_string(lock));
    let keys = if one == other { key(one) } else { format!("{}, {}", key(one), key(other)) };
    format!("to declare it below [package.metadata.partest.modules]: {keys}")
}

/// `api::opens and till::opens (/tmp/shop)`
pub fn learnt(lock: &LearntLock) -> String {
    match &*lock.users {
        [binary] => format!("processes of {binary} ({} and the like)", lock.thing),
        users => format!("{} ({})", list(users), lock.thing),
    }
}

/// What would happen if these tests met.
pub fn would_break(users: &[String], shared: &SharedThing) -> String {
    let (users, thing) = (list(users), &shared.thing);
    match shared.kind {
        InterferenceKind::Bound => {
            format!("{users} would conflict if they ran at the same time: they bind {thing}")
        }
        kind => format!(
            "{users} would conflict if they ran at the same time: {thing} is {kind} by one of them"
        ),
    }
}
