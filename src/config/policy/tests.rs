use super::*;
use crate::config::diagnostic::Source;
use crate::config::flags::Flags;
use crate::config::schema::{Table, read};

fn policy(workspace: &str, package: &str) -> (Policy, Vec<String>) {
    let mut diagnostics = Vec::new();
    let source = |text: &str| Arc::new(Source { path: "Cargo.toml".into(), text: text.to_owned() });
    let workspace = read(&source(workspace), Table::Workspace, Flags::none(), &mut diagnostics);
    let config = read(&source(package), Table::Package, Flags::none(), &mut diagnostics);
    let package = PackagePolicy {
        name: "web".into(),
        config,
        uses_serial_test: false,
        crate_names: vec!["web".into(), "api".into()],
        ..PackagePolicy::default()
    };
    let policy = Policy { workspace, packages: vec![package], ..Policy::default() };
    policy.check(&mut diagnostics);
    (policy, diagnostics.into_iter().map(|m| m.title).collect())
}

fn kind_of(policy: &Policy, id: &str) -> (Kind, Option<String>) {
    let rules = policy.rules(0, id);
    (rules.kind, rules.node)
}

#[test]
fn the_longest_key_wins_and_nested_modules_inherit() {
    let (policy, diagnostics) = policy(
        "[workspace.metadata.partest]\npolicy = \"split\"\ntimeout = \"9s\"",
        "[package.metadata.partest]\ntimeout = \"5s\"\n[package.metadata.partest.modules]\n\
         \"web::db\" = \"unit\"\n\"web::db::pure\" = \"split\"\n\"web::db::slow\" = { timeout = \"1m\" }",
    );
    assert_eq!(diagnostics, Vec::<String>::new());
    assert_eq!(kind_of(&policy, "web::db::reads"), (Kind::Unit, Some("web::db".into())));
    assert_eq!(kind_of(&policy, "web::db::deep::reads"), (Kind::Unit, Some("web::db".into())));
    assert_eq!(kind_of(&policy, "web::db::slow::sync"), (Kind::Unit, Some("web::db".into())));
    assert_eq!(
        kind_of(&policy, "web::db::pure::adds"),
        (Kind::Split, Some("web::db::pure".into()))
    );
    assert_eq!(kind_of(&policy, "web::dbx::adds"), (Kind::Split, None));
    let timeout = |id| policy.rules(0, id).timeout.unwrap().as_secs();
    assert_eq!((timeout("web::db::slow::sync"), timeout("web::other")), (60, 5));
}

#[test]
fn the_package_overrides_the_workspace_at_the_same_length() {
    let (policy, _) = policy(
        "[workspace.metadata.partest.modules]\n\"web\" = \"split\"\n\"api\" = \"split\"",
        "[package.metadata.partest.modules]\n\"web\" = \"unit\"",
    );
    assert_eq!(kind_of(&policy, "web::a").0, Kind::Unit);
    assert_eq!(kind_of(&policy, "api::a").0, Kind::Split);
}

#[test]
fn isolate_is_inherited_with_its_policy_only() {
    let (policy, _) = policy(
        "",
        "[package.metadata.partest.modules]\n\"web\" = { policy = \"split\", isolate = true }\n\
         \"web::db\" = \"unit\"\n\"web::cli\" = \"split\"\n\"api\" = { isolate = true }",
    );
    let isolated = |id| policy.rules(0, id).isolate;
    assert!(isolated("web::a") && isolated("api::a"));
    assert!(!isolated("web::db::a") && !isolated("web::cli::a"));
    assert_eq!(kind_of(&policy, "api::a").0, Kind::Split);
}

#[test]
fn the_command_line_overrides_every_key() {
    let (mut policy, _) = policy("", "[package.metadata.partest.modules]\n\"web\" = \"unit\"");
    policy.command_line = PolicyOverride::Kind(Kind::Split);
    assert_eq!(kind_of(&policy, "web::a"), (Kind::Split, None));
    policy.command_line = PolicyOverride::NoPartition("-j 0");
    assert_eq!(kind_of(&policy, "web::a"), (Kind::Unit, Some(String::new())));
}

#[test]
fn fixtures_and_paths_are_checked() {
    let table = [
        ("\"web\" = { policy = \"shared\", fixture = \"db\" }", "fixture `db` is not defined"),
        ("\"web\" = \"shared\"", "`policy = \"shared\"` requires `fixture`"),
        ("\"wbe::db\" = \"unit\"", "`wbe::db` matches no test: no target is named `wbe`"),
    ];
    for (line, expected) in table {
        let (_, diagnostics) = policy("", &format!("[package.metadata.partest.modules]\n{line}\n"));
        assert_eq!(diagnostics, [expected]);
    }
    let (_, diagnostics) = policy(
        "",
        "[package.metadata.partest.modules]\n\"web\" = { policy = \"shared\", fixture = \"db\" }\n\
         \"web::pure\" = \"split\"\n\"web::free\" = { policy = \"split\", override = true }\n\
         [package.metadata.partest.fixtures.db]\nstart = [\"db\"]",
    );
    assert_eq!(diagnostics, ["`web::pure` overrides `policy = \"shared\"` of `web`"]);
}

#[test]
fn a_node_with_a_fixture_is_shared() {
    let (policy, diagnostics) = policy(
        "[workspace.metadata.partest]\npolicy = \"split\"",
        "[package.metadata.partest.modules]\n\"web\" = { fixture = \"db\", isolate = true }\n\
         \"web::mail\" = { fixture = \"smtp\" }\n\"web::free\" = { policy = \"split\", override = true }\n\
         \"web::pure\" = \"split\"\n\
         [package.metadata.partest.fixtures]\ndb.start = [\"db\"]\nsmtp.start = [\"smtp\"]",
    );
    assert_eq!(diagnostics, ["`web::pure` overrides `policy = \"shared\"` of `web`"]);
    assert_eq!(kind_of(&policy, "web::a"), (Kind::Shared, Some("web".into())));
    assert_eq!(kind_of(&policy, "web::mail::a"), (Kind::Shared, Some("web".into())));
    assert_eq!(kind_of(&policy, "web::free::a"), (Kind::Split, Some("web::free".into())));
    assert_eq!(levels(&policy, "web::mail::a"), [["db"], ["smtp"]]);
    assert!(policy.rules(0, "web::mail::a").isolate);
    assert!(levels(&policy, "web::free::a").is_empty());
}

#[test]
fn serial_tests_share_a_lock_among_binaries_unless_a_policy_spreads_them() {
    let serial = |line: &str, command_line| {
        let (mut policy, _) = policy("", &format!("[package.metadata.partest.modules]\n{line}\n"));
        policy.packages[0].uses_serial_test = true;
        policy.command_line = command_line;
        let rules = policy.rules(0, "web::db::reads");
        (rules.kind, rules.locks.write.concat())
    };
    let lock = "serial_test(web)".to_owned();
    let none = PolicyOverride::None;
    assert_eq!(serial("", none), (Kind::Unit, lock.clone()));
    assert_eq!(serial("\"web\" = \"auto\"", none), (Kind::Unit, lock.clone()));
    assert_eq!(serial("\"web::db\" = \"unit\"", none), (Kind::Unit, lock.clone()));
    assert_eq!(serial("\"web::db\" = \"split\"", none), (Kind::Split, String::new()));
    let locked = "\"web::db\" = { locks = [\"port\"] }";
    assert_eq!(serial(locked, none), (Kind::Unit, format!("port{lock}")));
    assert_eq!(serial("", PolicyOverride::Isolate), (Kind::Split, lock.clone()));
    assert_eq!(serial("", PolicyOverride::Kind(Kind::Auto)), (Kind::Unit, lock.clone()));
    assert_eq!(serial("", PolicyOverride::Kind(Kind::Split)), (Kind::Split, lock));
}

fn levels(policy: &Policy, id: &str) -> Vec<Vec<String>> {
    let names = |level: &Vec<FixtureName>| level.iter().map(|f| f.name.clone()).collect();
    policy.rules(0, id).fixtures.iter().map(names).collect()
}

#[test]
fn outer_fixtures_and_dependencies_come_first() {
    let (policy, diagnostics) = policy(
        "[workspace.metadata.partest.fixtures]\ndisk = { start = [\"disk\"] }",
        "[package.metadata.partest.modules]\n\
         \"web\" = { policy = \"shared\", fixture = [\"db\", \"mail\"] }\n\
         \"web::api\" = { policy = \"shared\", fixture = \"server\" }\n\
         \"web::bare\" = { policy = \"shared\", fixture = \"mail\", override = true }\n\
         \"web::unit\" = \"unit\"\n\
         [package.metadata.partest.fixtures]\n\
         db = { start = [\"db\"], fixture = \"disk\" }\n\
         mail = { start = [\"mail\"] }\n\
         server = { start = [\"server\"], fixture = \"db\" }",
    );
    assert_eq!(diagnostics, Vec::<String>::new());
    assert_eq!(levels(&policy, "web::a"), [vec!["disk", "mail"], vec!["db"]]);
    assert_eq!(levels(&policy, "web::api::a"), [vec!["disk", "mail"], vec!["db"], vec!["server"]]);
    assert_eq!(levels(&policy, "web::bare::a"), [["mail"]]);
    assert_eq!(levels(&policy, "web::unit::a"), Vec::<Vec<String>>::new());
}

#[test]
fn dependencies_of_fixtures_are_checked() {
    let table = [
        ("a = { start = [\"a\"], fixture = \"b\" }", "fixture `b` is not defined"),
        (
            "a = { start = [\"a\"], fixture = \"b\" }\nb = { start = [\"b\"], fixture = \"a\" }",
            "fixtures `a` and `b` depend on each other",
        ),
        (
            "a = { start = [\"a\"], fixture = \"b\" }\nb = { start = [\"b\"], scope = \"slot\" }",
            "fixture `a` with scope \"run\" cannot depend on `b` with scope \"slot\"",
        ),
    ];
    for (lines, expected) in table {
        let (_, diagnostics) =
            policy("", &format!("[package.metadata.partest.fixtures]\n{lines}\n"));
        assert_eq!(diagnostics.first().map(String::as_str), Some(expected), "{diagnostics:?}");
    }
}

#[test]
fn a_path_that_matches_no_test_suggests_the_nearest_node() {
    let (policy, _) = policy("", "[package.metadata.partest.modules]\n\"web::dbb\" = \"unit\"");
    let mut diagnostics = Vec::new();
    let ids = ["web::db::reads".to_owned(), "web::cache::evicts".to_owned()];
    policy.check_paths(Some(0), &ids, &mut diagnostics);
    assert_eq!(diagnostics[0].help.as_deref(), Some("did you mean `web::db`?"));
    let mut none = Vec::new();
    policy.check_paths(Some(0), &["api::a".to_owned()], &mut none);
    assert!(none.is_empty(), "its binary is not part of this run");
}
