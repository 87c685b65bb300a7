//! The expressions of a run, read with the names of the workspace.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use cargo_metadata::{Target, TargetKind};
use toml::de::DeTable;

use super::build_output::kind_name;
use super::member_graph::dependencies;
use super::workspace::{Package, Workspace, crate_name};
use crate::cli::settings::TestFilter;
use crate::config::diagnostic::{Diagnostic, Place, Source};
use crate::config::policy::Policy;
use crate::config::value::At;
use crate::filterset::compile::{
    Leaf, Names, Origin, PackageNames, TargetNames, binary_id, compile,
};
use crate::filterset::expression::Expr;
use crate::filterset::filters::Filtersets;

/// Reads the expressions of the command line and of the metadata.
pub fn load(
    filter: &TestFilter,
    workspace: &Workspace,
    policy: &Policy,
    diagnostics: &mut Vec<Diagnostic>,
) -> Filtersets {
    let of_packages = || policy.packages.iter().map(|package| &package.config.default_filter);
    let of_profiles = policy.workspace.profiles.iter().map(|(_, profile)| &profile.default_filter);
    let of_workspace = || of_profiles.clone().chain([&policy.workspace.default_filter]).flatten();
    let has_default = of_packages().any(Option::is_some) || of_workspace().next().is_some();
    if filter.filtersets.is_empty() && !has_default {
        return Filtersets::default();
    }
    let names = names(workspace, policy);
    let chosen = filter.filtersets.iter();
    let chosen = chosen.filter_map(|text| typed(text, &names, diagnostics)).collect();
    let mut declared = |filter: &At<String>| declared(filter, &names, diagnostics);
    let in_force = policy.of_workspace().find_map(|config| config.default_filter.as_ref());
    // Mistakes are told in those of other profiles, too.
    let others = of_workspace().filter(|other| in_force.is_none_or(|one| one.place != other.place));
    others.for_each(|other| drop(declared(other)));
    Filtersets {
        chosen,
        default: in_force.and_then(&mut declared),
        of_packages: of_packages().map(|filter| filter.as_ref().and_then(&mut declared)).collect(),
        ignores_default: filter.ignores_default,
    }
}

fn typed(text: &str, names: &Names<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Expr<Leaf>> {
    let source = Arc::new(Source { path: "-E".into(), text: text.to_owned() });
    let place = |span| Place { source: source.clone(), span };
    compile(text, Origin::CommandLine, names, &place, diagnostics)
}

fn declared(
    filter: &At<String>,
    names: &Names<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Expr<Leaf>> {
    let At { value, place: Place { source, span } } = filter;
    // Where the value has escapes, places within it are not known.
    let offset = source.text.get(span.clone()).and_then(|written| written.find(value.as_str()));
    let place = |part: Range<usize>| {
        let span = match offset.map(|offset| span.start + offset) {
            Some(start) => start + part.start..start + part.end,
            None => span.clone(),
        };
        Place { source: source.clone(), span }
    };
    compile(value, Origin::DefaultFilter, names, &place, diagnostics)
}

fn names<'p>(workspace: &Workspace, policy: &'p Policy) -> Names<'p> {
    let patched = workspace.root_source().map(|root| patched(&root.text)).unwrap_or_default();
    let all = &workspace.packages;
    let of_package = |package: &Package| PackageNames {
        name: package.cargo.name.to_string(),
        targets: package
            .cargo
            .targets
            .iter()
            .filter_map(|target| target_names(package, target))
            .collect(),
        dependencies: dependencies(package, all, &patched),
    };
    Names { packages: all.iter().map(of_package).collect(), policy }
}

fn target_names(package: &Package, target: &Target) -> Option<TargetNames> {
    let kind = target.kind.first().filter(|kind| **kind != TargetKind::CustomBuild)?;
    Some(TargetNames {
        name: target.name.clone(),
        crate_name: crate_name(&target.name),
        binary_id: binary_id(package.cargo.name.as_str(), kind_name(kind), &target.name),
    })
}

/// The packages that `[patch]` replaces by a path.
fn patched(root_manifest: &str) -> BTreeSet<String> {
    if !root_manifest.contains("patch") {
        return BTreeSet::new();
    }
    let Ok(document) = DeTable::parse(root_manifest) else { return BTreeSet::new() };
    let Some(patch) = document.get_ref().get("patch") else { return BTreeSet::new() };
    let sources = patch.get_ref().as_table().into_iter().flat_map(|table| table.values());
    let entries = sources.filter_map(|source| source.get_ref().as_table()).flatten();
    let by_path = entries.filter(|(_, entry)| entry.get_ref().get("path").is_some());
    by_path.map(|(name, _)| name.get_ref().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_are_replaced_by_a_path_are_found() {
        let text = "[patch.crates-io]\nshop = { path = \"shop\" }\nother = { git = \"x\" }\n";
        assert_eq!(patched(text), BTreeSet::from(["shop".to_owned()]));
        assert_eq!(patched("[dependencies]\npatch = \"1\""), BTreeSet::new());
    }
}
