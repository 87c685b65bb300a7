use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::compile::{Names, Origin, PackageNames, TargetNames, binary_id, compile};
use super::evaluate::{BinaryFacts, TestFacts, matches};
use super::expression::{Comparison, Expr, Module, Platform, Predicate, Slow, Written};
use super::filters::Filtersets;
use super::matcher::{Glob, Matcher};
use super::parser::parse;
use super::reference::REFERENCE;
use super::syntax::PREDICATES;
use crate::config::diagnostic::{Diagnostic, Place, Source};
use crate::config::policy::Policy;

#[track_caller]
fn parsed(text: &str) -> Expr<Written> {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// How the parser has understood each text.
#[test]
fn the_language_is_that_of_nextest() {
    let table = [
        // Operators, in all spellings.
        ("all() and none()", "all() and none()"),
        ("all()&none()", "all() and none()"),
        ("all() or none()", "all() or none()"),
        ("all()|none()", "all() or none()"),
        ("all()+none()", "all() or none()"),
        ("all() - none()", "all() and not none()"),
        ("all()-none()", "all() and not none()"),
        ("not all()", "not all()"),
        ("!all()", "not all()"),
        ("not!all()", "not not all()"),
        ("not(all())", "not all()"),
        ("all()and(none())", "all() and none()"),
        ("all()or none()", "all() or none()"),
        ("  all ( ) ", "all()"),
        ("all()\r\nand\n\tnone()", "all() and none()"),
        // Precedence, as nextest documents it.
        ("test(a) & test(b) | test(c)", "(test(~a) and test(~b)) or test(~c)"),
        ("test(a) | test(b) & test(c)", "test(~a) or (test(~b) and test(~c))"),
        ("test(a) & test(b) - test(c)", "test(~a) and test(~b) and not test(~c)"),
        ("test(a) - test(b) & test(c)", "test(~a) and not test(~b) and test(~c)"),
        ("not test(a) | test(b)", "not test(~a) or test(~b)"),
        ("not test(a) & test(b)", "not test(~a) and test(~b)"),
        ("not (test(a) | test(b))", "not (test(~a) or test(~b))"),
        ("test(a) & (test(b) & test(c))", "test(~a) and (test(~b) and test(~c))"),
        ("test(a) - (test(b) + test(c))", "test(~a) and not (test(~b) or test(~c))"),
        // The examples of its documentation.
        ("package(serde) and test(deserialize)", "package(#serde) and test(~deserialize)"),
        ("rdeps(nextest*)", "rdeps(#nextest*)"),
        ("not (test(/parse[0-9]*/) | test(run))", "not (test(/parse[0-9]*/) or test(~run))"),
        ("test(my_test) + package(my-crate)", "test(~my_test) or package(#my-crate)"),
        ("platform(host) + not test(/.*/)", "platform(host) or not test(/.*/)"),
        // Default matchers, and matchers that are written.
        ("package(something)", "package(#something)"),
        ("deps(something)", "deps(#something)"),
        ("binary(something)", "binary(#something)"),
        ("binary_id(a::b)", "binary_id(#a::b)"),
        ("kind(lib)", "kind(=lib)"),
        ("platform(    host    )", "platform(host)"),
        ("platform(target)", "platform(target)"),
        ("test(=something)", "test(=something)"),
        ("test(~something)", "test(~something)"),
        ("test(#something*)", "test(#something*)"),
        ("test(/some.*/)", "test(/some.*/)"),
        ("test( something)", "test(~something)"),
        ("default() - test(a)", "default() and not test(~a)"),
        // Our own.
        ("module(web::db)", "module(web::db)"),
        ("module(/db$/)", "module(/db$/)"),
        ("policy(unit)", "policy(=unit)"),
        ("fixture(server)", "fixture(#server)"),
        ("failed()", "failed()"),
        ("slow(>1s)", "slow(>1s)"),
        ("slow(1.5s)", "slow(>1.5s)"),
        ("slow(<= 100ms)", "slow(<=0.1s)"),
    ];
    for (text, expected) in table {
        assert_eq!(parsed(text).to_string(), expected, "{text}");
    }
}

/// The examples of nextest's tests.
#[test]
fn matchers_read_their_text_and_its_escapes() {
    let table = [
        ("test(~~something)", Matcher::Contains("~something".into())),
        ("test(~=something)", Matcher::Contains("=something".into())),
        ("test(~/something/)", Matcher::Contains("/something/".into())),
        ("test(==something)", Matcher::Equal("=something".into())),
        ("test(=#something)", Matcher::Equal("#something".into())),
        ("test(=/something/)", Matcher::Equal("/something/".into())),
        ("test(##something)", Matcher::Glob(Glob::new("#something").unwrap())),
        (r"test(#something/[?])", Matcher::Glob(Glob::new("something/[?]").unwrap())),
        (r"test(#foobar\b)", Matcher::Glob(Glob::new("foobar\u{8}").unwrap())),
        (r"test(#foobar\\b)", Matcher::Glob(Glob::new(r"foobar\b").unwrap())),
        (r"test(#foobar\))", Matcher::Glob(Glob::new("foobar)").unwrap())),
        ("test(some'thing)", Matcher::Contains("some'thing".into())),
        (r"test(some(thing\))", Matcher::Contains("some(thing)".into())),
        (r"test(some \u{55})", Matcher::Contains("some U".into())),
        (r"test(~a\,)", Matcher::Contains("a,".into())),
        (r"test(a\n\r\t\\\/)", Matcher::Contains("a\n\r\t\\/".into())),
        (r"test(a\t )", Matcher::Contains("a\t".into())),
        ("test(größe)", Matcher::Contains("größe".into())),
        (r"test(/a\/a/)", Matcher::Regex(regex::Regex::new("a/a").unwrap())),
        (r"test(/\w\/a/)", Matcher::Regex(regex::Regex::new(r"\w/a").unwrap())),
        (r"test(/\w\\\/a/)", Matcher::Regex(regex::Regex::new(r"\w\\/a").unwrap())),
        (r"test(/\p{Greek}\\\/a/)", Matcher::Regex(regex::Regex::new(r"\p{Greek}\\/a").unwrap())),
        (r"test(/a(b|,)c/)", Matcher::Regex(regex::Regex::new(r"a(b|,)c").unwrap())),
    ];
    for (text, expected) in table {
        let Expr::Leaf(Written { predicate: Predicate::Test(matcher), .. }) = parsed(text) else {
            panic!("{text}");
        };
        assert_eq!(matcher, expected, "{text}");
    }
}

#[test]
fn mistakes_have_a_place_and_what_to_write_instead() {
    // The text, with the place between two bars; what is wrong; a part of the help.
    let table = [
        ("||", "empty expression", "`all()`"),
        ("|tset|(a)", "unknown predicate `tset`", "did you mean `test`?"),
        ("all() and |rdep|(a)", "unknown predicate `rdep`", "did you mean"),
        ("|zzzzzzzz|(a)", "unknown predicate `zzzzzzzz`", "expected one of: all, binary,"),
        ("|group|(a)", "unknown predicate `group`", "policy(NAME)"),
        ("|login|", "expected an expression, found `login`", "`test(login)`"),
        ("|test|", "missing `(` after `test`", "test(NAME)"),
        ("test|(|a", "missing `)`", "never closed"),
        ("all|(|", "missing `)`", "never closed"),
        ("|(|all() or none()", "missing `)`", "never closed"),
        ("all()|)|", "`)` without `(`", "`\\)`"),
        ("all() |none|()", "expected an operator, found `none`", "`and`"),
        ("(all() |none|())", "expected an operator, found `none`", "`and`"),
        ("all() |&&| none()", "unknown operator `&&`", "`and` or `&`"),
        ("all() |AND|(none())", "unknown operator `AND`", "`and` or `&`"),
        ("all() |||| none()", "unknown operator `||`", "`or` or `|`"),
        ("all() |OR| none()", "unknown operator `OR`", "`or` or `|`"),
        ("|NOT| all()", "unknown operator `NOT`", "`not` or `!`"),
        ("|and|(all())", "expected an expression, found `and`", "between two"),
        ("|&| all()", "expected an expression before `&`", "between two"),
        ("all() and||", "expected an expression after `and`", "test(NAME)"),
        ("not||", "expected an expression after `not`", "test(NAME)"),
        ("(|)|", "expected an expression, found `)`", "test(NAME)"),
        ("test|(|)", "`test` needs an argument", "`test(NAME)`"),
        ("all(|web|)", "`all` has no argument", "`all()`"),
        ("test(a|,| b)", "`test` has one argument", "`\\,`"),
        (r"test(foo|\$|)", r"unknown escape `\$`", r"`\\`"),
        (r"test(foo|\u|{110000000})", r"unknown escape `\u`", r"\u{7FFF}"),
        ("package(/foo|(|ab/)", "invalid regular expression: unclosed group", "`regex`"),
        (r"test(/a\/b|(|/)", "invalid regular expression: unclosed group", "`regex`"),
        (r"test(/ä\/b|(|/)", "invalid regular expression: unclosed group", "`regex`"),
        ("test(|/|aaa)", "missing `/`", "ends with"),
        ("test(/a/ |b|)", "expected `)`, found `b`", "test(NAME)"),
        ("package(#|foo[|)", "invalid glob: missing `]`", "[*]"),
        ("platform(|hots|)", "unknown platform `hots`", "did you mean `host`?"),
        ("slow(|>1|)", "`1` is no duration", "slow(>1s)"),
        ("slow|(|)", "`slow` needs an argument", "slow(>1s)"),
    ];
    for (marked, title, help) in table {
        let open = marked.find('|').unwrap();
        let close = marked.rfind('|').unwrap();
        let text = [&marked[..open], &marked[open + 1..close], &marked[close + 1..]].concat();
        let error = parse(&text).expect_err(&text);
        assert_eq!(error.title, title, "{marked}");
        assert!(error.help.as_ref().is_some_and(|text| text.contains(help)), "{marked} {error:?}");
        assert_eq!(error.span, open..close - 1, "{marked} {error:?}");
    }
}

#[test]
fn no_depth_overflows_the_stack() {
    for (open, close) in [("(", ")"), ("not ", ""), ("!", "")] {
        let nested = |depth: usize| open.repeat(depth) + "all()" + &close.repeat(depth);
        assert!(parse(&nested(150)).is_ok());
        let error = parse(&nested(100_000)).unwrap_err();
        assert!(error.title.starts_with("more than 200 levels"), "{error:?}");
    }
    let many = vec!["test(a)"; 50_000].join(" or ");
    assert!(matches!(parsed(&many), Expr::Or(operands) if operands.len() == 50_000));
}

#[test]
fn the_reference_shows_every_predicate() {
    for name in PREDICATES {
        assert!(
            REFERENCE.contains(&format!("  {name}(")) || REFERENCE.contains(&format!(", {name}(")),
            "{name}"
        );
    }
    let examples =
        REFERENCE.lines().filter_map(|line| line.trim().strip_prefix("cargo partest -E "));
    let examples: Vec<&str> =
        examples.filter_map(|example| example.strip_prefix('\'')?.strip_suffix('\'')).collect();
    assert_eq!(examples.len(), 6);
    examples.into_iter().for_each(|example| drop(parsed(example)));
}

/// `a` and its tests depend on nothing, `b` on `a`, `c` on `b`, `d-macro` on nothing.
fn packages() -> Vec<PackageNames> {
    let package = |name: &str, targets: &[(&str, &str)], dependencies: &[usize]| PackageNames {
        name: name.to_owned(),
        targets: targets
            .iter()
            .map(|(kind, target)| TargetNames {
                name: (*target).to_owned(),
                crate_name: target.replace('-', "_"),
                binary_id: binary_id(name, kind, target),
            })
            .collect(),
        dependencies: dependencies.to_vec(),
    };
    vec![
        package("a", &[("lib", "a"), ("test", "api")], &[]),
        package("b", &[("lib", "b"), ("bin", "b-tool")], &[0]),
        package("c", &[("lib", "c")], &[1]),
        package("d-macro", &[("proc-macro", "d_macro")], &[]),
    ]
}

#[track_caller]
fn compiled(text: &str, diagnostics: &mut Vec<Diagnostic>) -> Filtersets {
    let policy = Policy::default();
    let names = Names { packages: packages(), policy: &policy };
    let source = Arc::new(Source { path: "-E".into(), text: text.into() });
    let place = |span| Place { source: source.clone(), span };
    let expr = compile(text, Origin::CommandLine, &names, &place, diagnostics);
    Filtersets { chosen: expr.into_iter().collect(), ..Filtersets::default() }
}

#[derive(Debug, Clone, PartialEq)]
struct Example {
    package: usize,
    kind: &'static str,
    target: &'static str,
    name: &'static str,
    failed: bool,
    took: Option<u64>,
    policy: &'static str,
    is_default: bool,
}

impl TestFacts for Example {
    fn name(&self) -> &str {
        self.name
    }
    fn is_default(&self) -> bool {
        self.is_default
    }
    fn has_failed(&self) -> bool {
        self.failed
    }
    fn took(&self) -> Option<Duration> {
        self.took.map(Duration::from_secs)
    }
    fn has_policy(&self, matcher: &Matcher) -> bool {
        matcher.matches(self.policy)
    }
    fn has_fixture(&self, _: &Matcher) -> bool {
        false
    }
}

/// Two tests of each target.
fn examples() -> Vec<Example> {
    let targets = [
        (0, "lib", "a"),
        (0, "test", "api"),
        (1, "lib", "b"),
        (1, "bin", "b-tool"),
        (2, "lib", "c"),
        (3, "proc-macro", "d_macro"),
    ];
    let tests = targets.iter().flat_map(|&(package, kind, target)| {
        let example = |name, at: usize| Example {
            package,
            kind,
            target,
            name,
            failed: at == 1 && package == 1,
            took: (package < 2).then_some(1 + at as u64),
            policy: if kind == "lib" { "unit" } else { "split" },
            is_default: package != 2 && at == 0,
        };
        [example("db::reads", 0), example("parses", 1)]
    });
    tests.collect()
}

fn facts<'e>(example: &'e Example, prefix: &'e str) -> BinaryFacts<'e> {
    let own = examples();
    let own: Vec<&Example> = own.iter().filter(|other| other.target == example.target).collect();
    let is_default = |other: &&Example| other.is_default;
    BinaryFacts {
        package: example.package,
        target: example.target,
        crate_name: prefix,
        prefixes: vec![prefix],
        kind: example.kind,
        id: binary_id(&packages()[example.package].name, example.kind, example.target),
        platform: if example.kind == "proc-macro" { Platform::Host } else { Platform::Target },
        has_failures: own.iter().any(|other| other.failed),
        default: match (own.iter().any(&is_default), own.iter().all(is_default)) {
            (true, true) => Some(true),
            (false, _) => Some(false),
            _ => None,
        },
    }
}

/// The tests that an expression matches, as `target::name`.
fn chosen(filtersets: &Filtersets) -> BTreeSet<String> {
    let filtersets = Filtersets {
        ignores_default: true,
        ..Filtersets { chosen: filtersets.chosen.clone(), ..Filtersets::default() }
    };
    let is_chosen = |example: &Example| {
        let prefix = example.target.replace('-', "_");
        let facts = facts(example, &prefix);
        let decision = filtersets.decide(&facts);
        let matches = filtersets.matches(&facts, example);
        // What is decided for a binary holds for each of its tests.
        assert!(decision.is_none_or(|decision| decision == matches));
        matches
    };
    let found = examples().into_iter().filter(is_chosen);
    found.map(|example| format!("{}::{}", example.target, example.name)).collect()
}

#[test]
fn predicates_match_what_they_name() {
    let targets = |names: &str| -> BTreeSet<String> {
        let both = |name: &str| [format!("{name}::db::reads"), format!("{name}::parses")];
        names.split_whitespace().flat_map(both).collect()
    };
    let table = [
        ("all()", targets("a api b b-tool c d_macro")),
        ("none()", targets("")),
        ("package(a)", targets("a api")),
        ("package(~macro)", targets("d_macro")),
        ("package(/^[ab]$/)", targets("a api b b-tool")),
        ("deps(c)", targets("a api b b-tool c")),
        ("deps(a)", targets("a api")),
        ("rdeps(b)", targets("b b-tool c")),
        ("rdeps(a)", targets("a api b b-tool c")),
        ("rdeps(*)", targets("a api b b-tool c d_macro")),
        ("binary(api)", targets("api")),
        ("binary(b*)", targets("b b-tool")),
        ("binary(b_tool)", targets("b-tool")),
        ("binary_id(a::api)", targets("api")),
        ("binary_id(b::bin/b-tool)", targets("b-tool")),
        ("binary_id(a)", targets("a")),
        ("kind(lib)", targets("a b c")),
        ("kind(~i)", targets("a b c b-tool")),
        ("kind(proc-macro)", targets("d_macro")),
        ("platform(host)", targets("d_macro")),
        ("platform(target)", targets("a api b b-tool c")),
        ("policy(unit)", targets("a b c")),
        ("module(a)", targets("a")),
        ("module(a::db)", BTreeSet::from(["a::db::reads".into()])),
        ("module(b_tool::db::reads)", BTreeSet::from(["b-tool::db::reads".into()])),
        ("module(a::d)", targets("")),
        ("module(=api)", BTreeSet::from(["api::parses".into()])),
        (
            "module(db) & package(a)",
            BTreeSet::from(["a::db::reads".into(), "api::db::reads".into()]),
        ),
        ("failed()", BTreeSet::from(["b::parses".into(), "b-tool::parses".into()])),
        ("slow(>1s) & package(a)", BTreeSet::from(["a::parses".into(), "api::parses".into()])),
        (
            "slow(<=1s) & package(a)",
            BTreeSet::from(["a::db::reads".into(), "api::db::reads".into()]),
        ),
        ("slow(>0s)", targets("a api b b-tool")),
        (
            "default() & package(a)",
            BTreeSet::from(["a::db::reads".into(), "api::db::reads".into()]),
        ),
        ("default() & package(c)", targets("")),
        ("test(=db)", targets("")),
    ];
    for (text, expected) in table {
        let mut diagnostics = Vec::new();
        let filtersets = compiled(text, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{text}: {diagnostics:?}");
        assert_eq!(chosen(&filtersets), expected, "{text}");
    }
}

#[test]
fn a_matcher_that_matches_nothing_known_is_a_mistake() {
    let table = [
        ("package(|d-marco|)", "no package matches `d-marco`", "did you mean `d-macro`?"),
        ("deps(|=xyzzy|)", "no package is named `xyzzy`", "there are: a, b, c, d-macro"),
        ("all() or rdeps(|/xyzzy/|)", "no package matches `xyzzy`", "there are: a"),
        ("binary(|apis|)", "no binary matches `apis`", "did you mean `api`?"),
        ("binary_id(|a::apis|)", "no binary id matches `a::apis`", "did you mean `a::api`?"),
        ("kind(|tests|)", "no kind of target is named `tests`", "did you mean `test`?"),
        ("policy(|unti|)", "no policy is named `unti`", "did you mean `unit`?"),
        ("fixture(|server|)", "no fixture matches `server`", "there is no fixture"),
    ];
    for (marked, title, help) in table {
        let (open, close) = (marked.find('|').unwrap(), marked.rfind('|').unwrap() - 1);
        let mut diagnostics = Vec::new();
        let filtersets = compiled(&marked.replace('|', ""), &mut diagnostics);
        assert!(filtersets.chosen.is_empty());
        let [diagnostic] = &*diagnostics else { panic!("{marked}: {diagnostics:?}") };
        assert_eq!(diagnostic.title, title);
        assert_eq!(diagnostic.place.span, open..close, "{marked}");
        assert!(diagnostic.help.as_ref().unwrap().contains(help), "{diagnostic:?}");
    }
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let text = "[a-c_:/)(,\\\\ =~#\u{e4}\u{8}\n-]{1,4}";
    prop_oneof![
        text.prop_map(Matcher::Equal),
        text.prop_map(Matcher::Contains),
        "[a-c*?, )]{1,3}".prop_map(|glob| Matcher::Glob(Glob::new(&glob).unwrap())),
        "[a-c./]{1,3}(\\\\/)?\\.?"
            .prop_map(|text| Matcher::Regex(regex::Regex::new(&text).unwrap())),
    ]
}

fn predicate() -> impl Strategy<Value = Predicate> {
    let comparison =
        prop::sample::select(Comparison::SIGNS.map(|(_, comparison)| comparison).to_vec());
    let slow = (comparison, 0_u64..10_000).prop_map(|(comparison, milliseconds)| {
        Predicate::Slow(Slow { comparison, limit: Duration::from_millis(milliseconds) })
    });
    prop_oneof![
        Just(Predicate::All),
        Just(Predicate::None),
        Just(Predicate::Default),
        Just(Predicate::Failed),
        Just(Predicate::Platform(Platform::Host)),
        matcher().prop_map(Predicate::Test),
        matcher().prop_map(Predicate::Package),
        matcher().prop_map(Predicate::Rdeps),
        matcher().prop_map(Predicate::Deps),
        matcher().prop_map(Predicate::Binary),
        matcher().prop_map(Predicate::BinaryId),
        matcher().prop_map(Predicate::Kind),
        matcher().prop_map(Predicate::Policy),
        matcher().prop_map(Predicate::Fixture),
        matcher().prop_map(|matcher| Predicate::Module(Module::Matching(matcher))),
        "[a-c=~#/][a-c:]{0,3}".prop_map(|path| Predicate::Module(Module::Below(path))),
        slow,
    ]
}

fn joined<L: std::fmt::Debug + Clone + 'static>(
    leaf: impl Strategy<Value = L> + 'static,
) -> impl Strategy<Value = Expr<L>> {
    leaf.prop_map(Expr::Leaf).prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|operand| Expr::Not(Box::new(operand))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner, 2..4).prop_map(Expr::Or),
        ]
    })
}

fn expression() -> impl Strategy<Value = Expr<Written>> {
    joined(predicate().prop_map(|predicate| Written { predicate, span: 0..0 }))
}

/// Predicates whose names the examples have.
const KNOWN: [&str; 12] = [
    "all()",
    "none()",
    "default()",
    "failed()",
    "test(pars)",
    "package(a)",
    "deps(b)",
    "rdeps(b)",
    "binary(b*)",
    "kind(lib)",
    "module(db)",
    "slow(>1s)",
];

/// Evaluates without any shortcut: set by set.
fn naive(expr: &Expr<&str>) -> BTreeSet<String> {
    let all = || naive(&Expr::Leaf("all()"));
    match expr {
        Expr::Leaf(text) => {
            let mut diagnostics = Vec::new();
            let filtersets = compiled(text, &mut diagnostics);
            let is_match = |example: &Example| {
                let prefix = example.target.replace('-', "_");
                matches(&filtersets.chosen[0], &facts(example, &prefix), example)
            };
            let found = examples().into_iter().filter(is_match);
            found.map(|example| format!("{}::{}", example.target, example.name)).collect()
        }
        Expr::Not(operand) => &all() - &naive(operand),
        Expr::And(operands) => {
            operands.iter().fold(all(), |found, operand| &found & &naive(operand))
        }
        Expr::Or(operands) => {
            operands.iter().fold(BTreeSet::new(), |found, operand| &found | &naive(operand))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read_as_the_same(expr in expression()) {
        let text = expr.to_string();
prop_assert_eq!(parse(&text), Ok(expr), "{}", text);
    }

    #[test]
    fn an_expression_matches_what_its_sets_contain(expr in joined(prop::sample::select(KNOWN.to_vec()))) {
        let mut diagnostics = Vec::new();
        let text = expr.to_string();
        let filtersets = compiled(&text, &mut diagnostics);
        prop_assert!(diagnostics.is_empty());
        prop_assert_eq!(chosen(&filtersets), naive(&expr), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(
        text in "\\PC{0,40}",
        words in prop::collection::vec(prop::sample::select(vec![
            "test", "(", ")", "not ", "and ", "or", "|", "&", "-", "+", "!", "all()", "/", "\\", "#", "{", "[",
            "ä", ",", "\\u{", "}", " ", "\n", "slow", ">", "1s", "platform", "module", "=", "~",
        ]), 0..16),
    ) {
        for text in [text, words.concat()] {
            if let Err(error) = parse(&text) {
                prop_assert!(text.get(error.span.clone()).is_some(), "{} {:?}", text, error);
            }
        }
    }
}
