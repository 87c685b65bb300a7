//! Keys that begin with a package: `beta::api::auth`, where `api` alone would name targets of
//! several packages.

use super::{Policy, QualifiedTarget, covers};
use crate::config::keys::Keys;
use crate::config::value::At;

impl Policy {
    /// Gives each package the keys of the workspace and its own that name one of its targets with
    /// the package, as keys with the target's name alone. The keys themselves stay in force: the
    /// library of the package may have a module of that name.
    pub fn resolve_qualified_keys(&mut self) {
        let profile = self.profile.as_deref().and_then(|name| self.workspace.profile(name));
        for package in &mut self.packages {
            let all = package.config.modules.iter().chain(&self.workspace.modules);
            package.resolved = resolved_keys(all, &package.qualified);
            let all = profile.into_iter().flat_map(|profile| &profile.modules);
            package.resolved_of_profile = resolved_keys(all, &package.qualified);
        }
    }
}

fn resolved_keys<'k>(
    all: impl Iterator<Item = &'k (At<String>, Keys)>,
    targets: &[QualifiedTarget],
) -> Vec<(At<String>, Keys)> {
    all.flat_map(|(path, keys)| {
        let of_target = |target: &QualifiedTarget| {
            covers(&target.prefix, &path.value).then(|| {
                let value = path.value.replacen(&target.prefix, &target.name, 1);
                (At { value, place: path.place.clone() }, keys.clone())
            })
        };
        targets.iter().filter_map(of_target)
    })
    .collect()
}
