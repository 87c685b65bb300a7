//! Selects tests by libtest's filters, and by their ids.

use super::test_list::Test;
use crate::cargo::binary::Binary;
use crate::cli::settings::{IgnoredTests, TestFilter};

/// What to do with a listed test in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Run,
    /// Selected, but `#[ignore]`d: reported, not run.
    Ignore,
    /// Not selected.
    LeaveOut,
}

/// What libtest's filters say about a test.
pub(super) fn choose_one(filter: &TestFilter, binary: &Binary, test: &Test) -> Choice {
    let matches = |text: &String| matches(text, filter.exact, binary, &test.name);
    let is_wanted = filter.filters.is_empty() || filter.filters.iter().any(matches);
    if !is_wanted || filter.skip.iter().any(matches) {
        return Choice::LeaveOut;
    }
    match (filter.ignored, test.is_ignored) {
        (IgnoredTests::Skip, true) => Choice::Ignore,
        (IgnoredTests::Only, false) => Choice::LeaveOut,
        _ => Choice::Run,
    }
}

/// A filter matches part of a name (all of it with `--exact`), as in libtest, or the beginning of an
/// id: `api::auth`, or `web::api::auth`.
fn matches(filter: &str, exact: bool, binary: &Binary, name: &str) -> bool {
    let of_id = binary.test_name(filter);
    match exact {
        true => name == filter || of_id == Some(name),
        false => {
            name.contains(filter)
                || of_id.is_some_and(|rest| name.starts_with(rest))
                // `web::` is the beginning of `web::api::auth` too.
                || (filter.contains("::") && binary.prefix.starts_with(filter))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_names_as_libtest_does_and_ids_from_their_beginning() {
        let table = [
            ("auth", false, true),
            ("api", false, false),
            ("api::", false, true),
            ("api::auth", false, true),
            ("api::uth", false, false),
            ("rejects", false, true),
            ("rejects", true, false),
            ("auth::rejects", true, true),
            ("api::auth::rejects", true, true),
            ("api::auth", true, false),
            ("web::auth", false, false),
        ];
        for (filter, exact, expected) in table {
            let api = Binary::example("api");
            assert_eq!(matches(filter, exact, &api, "auth::rejects"), expected, "{filter} {exact}");
        }
    }

    #[test]
    fn ids_that_begin_with_the_package_match_with_and_without_it() {
        let table = [
            ("web::api::auth", false, true),
            ("web::api::auth::rejects", true, true),
            ("api::auth::rejects", true, true),
            ("web::", false, true),
            ("web::ap", false, true),
            ("web", false, false),
            ("web::api", true, false),
            ("shop::api::auth", false, false),
        ];
        let mut api = Binary::example("api");
        api.prefix = "web::api".into();
        for (filter, exact, expected) in table {
            assert_eq!(matches(filter, exact, &api, "auth::rejects"), expected, "{filter} {exact}");
        }
    }

    #[test]
    fn ignored_tests_follow_libtests_flags() {
        use Choice::*;
        let table = [
            (IgnoredTests::Skip, Ignore, Run),
            (IgnoredTests::Include, Run, Run),
            (IgnoredTests::Only, Run, LeaveOut),
        ];
        for (ignored, of_ignored, of_other) in table {
            let filter = TestFilter { ignored, ..TestFilter::default() };
            let test = |is_ignored| Test { name: "a".into(), is_ignored };
            let api = Binary::example("api");
            assert_eq!(choose_one(&filter, &api, &test(true)), of_ignored);
            assert_eq!(choose_one(&filter, &api, &test(false)), of_other);
        }
    }
}
