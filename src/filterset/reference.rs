//! The text of `cargo partest help filters`.

pub const REFERENCE: &str = r#"Expressions that choose tests: cargo partest -E EXPR

The language is that of nextest's filtersets, with predicates for modules, policies, fixtures
and earlier runs. With several expressions, at least one has to match. Names beside them, a default filter
and --last-failed choose among the tests that the expressions choose.

Examples:
  cargo partest -E 'package(web) and test(login)'
  cargo partest -E 'rdeps(core) - kind(test)'
  cargo partest -E 'module(web::db) | binary(api)'
  cargo partest -E 'not (test(/parse[0-9]*/) + test(=run))'
  cargo partest -E 'policy(unit) & slow(>1s)'
  cargo partest -E 'failed() or fixture(server)'

Predicates, with the matcher of a name that has no prefix:
  all(), none()        every test, no test
  test(NAME)           tests by their name                                      contains
  package(NAME)        tests of these packages                                  glob
  deps(NAME)           … of these packages and those that they depend on        glob
  rdeps(NAME)          … of these packages and those that depend on them        glob
  binary(NAME)         … of these targets                                       glob
  binary_id(NAME)      … by package and target: web, web::api, web::bin/server  glob
  kind(NAME)           … of this kind: lib, test, bin, example, bench,
                       proc-macro, or doc: doctests                             equal
  platform(host)       … that are built for the host, such as those of proc
                       macros, or for the target: platform(target)
  module(PATH)         tests below this node: web::db, or db in any binary      path
  policy(NAME)         … with this policy: auto, unit, split, shared, isolated  equal
  fixture(NAME)        … that need this fixture                                 glob
  failed()             … that did not pass when they ran last
  slow(>1s)            … that took longer in earlier runs; also >=, <, <=
  default()            … that the key `default-filter` leaves

Matchers:
  =NAME                the whole name
  ~NAME                a part of the name
  /REGEX/              a part of the name matches; the syntax is that of the crate regex
  #GLOB                the whole name matches: *, ?, [ab], [!ab], {a\,b}

  In names: \n, \r, \t, \\, \/, \), \, and \u{7FFF}. In regular expressions: \/.

Operators, from the tightest to the loosest; equal ones bind from left to right:
  ( )
  not, !
  and, &, -            `a - b` is `a and not b`
  or, |, +
"#;
