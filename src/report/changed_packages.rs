//! What `--changed` tells people.

use super::messages::{count, list};

/// Why these packages are tested.
pub fn chosen(
    rev: &str,
    changed: &[String],
    dependents: &[String],
    common: Option<String>,
) -> String {
    if let Some(file) = common {
        return format!("since {rev}: `{file}`, which all packages depend on");
    }
    let depend = if dependents.len() == 1 { "depends on them" } else { "depend on them" };
    match (changed, dependents) {
        ([], []) => format!("since {rev}: no package, so there is nothing to test"),
        (changed, []) => format!("since {rev}: {}", named("package", changed)),
        ([], dependents) => {
            let what = "which depends on changed ones";
            format!(
                "since {rev}: {}, {}",
                named("package", dependents),
                match dependents.len() {
                    1 => what.to_owned(),
                    _ => what.replace("depends", "depend"),
                }
            )
        }
        (changed, dependents) => format!(
            "since {rev}: {}; {} {depend}: {}",
            named("package", changed),
            dependents.len(),
            list(dependents)
        ),
    }
}

fn named(what: &str, names: &[String]) -> String {
    format!("{} ({})", count(names.len(), what), list(names))
}

/// Packages that would be tested if the flags or the default members had them.
pub fn not_chosen(packages: &[String]) -> String {
    format!(
        "not tested, as they are not selected, although they or their dependencies have changed: {}",
        list(packages)
    )
}

/// Changed files for which nothing is tested.
pub fn outside(files: &[String]) -> String {
    /// As many as fit a screen beside the results.
    const NAMED: usize = 10;
    let named: Vec<String> = files.iter().take(NAMED).map(|file| format!("`{file}`")).collect();
    let more = match files.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} not in any package: {}{more}", count(files.len(), "changed file"), named.join(", "))
}

/// None of the chosen packages has a test.
pub fn no_tests(rev: &str) -> String {
    format!("the packages with changes since {rev} have no tests")
}
