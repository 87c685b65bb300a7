//! The shards of a run in one picture: their lanes one under another.

use super::*;

const TESTS: &str = r#"
#[cfg(test)]
mod served {
    macro_rules! tests { ($($name:ident)*) => { $(#[test] fn $name() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    })* } }
    tests! { a b c d e f g h }
}
"#;

const KEYS: &str = r#"
[package.metadata.partest.modules]
"shop::served" = { policy = "shared", fixture = "server", isolate = true }
[package.metadata.partest.fixtures.server]
start = ["sh", "-c", "echo PARTEST_READY; cat"]
"#;

/// The process of the build in a trace of one run.
const BUILD: u64 = 1;

const SHARDS: [&str; 2] = ["shard 1/2", "shard 2/2"];

/// What the shards have written, and what was made of it.
struct Merged {
    package: Package,
    streams: [Ran; 2],
}

impl Merged {
    fn new() -> Merged {
        let package = Package::shop(KEYS, TESTS);
        let streams = [1, 2].map(|shard| {
            let words = format!("-j2 --shard {shard}/2 --trace own-{shard}.json");
            let ran = package.partest().args(&words).json().run().exits(0);
            package.write(&format!("{shard}.json"), &ran.stdout);
            ran
        });
        let words = "merge 1.json 2.json --html page.html --trace trace.json";
        package.partest().args(words).run().exits(0);
        Merged { package, streams }
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.package.path(path)).unwrap()
    }
}

/// The processes of a trace by name.
fn processes(events: &[Value]) -> BTreeMap<String, u64> {
    let names = events.iter().filter(|event| event["name"] == "process_name");
    names.map(|name| (fixture::text(&name["args"]["name"]), number(&name["pid"]))).collect()
}

/// The category and name of a slice, its beginning and its end, in microseconds.
type Slice = (String, String, u64, u64);

/// The slices of a process in the order of time.
fn slices(events: &[Value], pid: u64) -> Vec<Slice> {
    let slices = events.iter().filter(|event| event["ph"] == "X" && event["pid"] == pid);
    let mut slices: Vec<Slice> = slices
        .map(|slice| {
            let (begin, end) = span(slice);
            (fixture::text(&slice["cat"]), fixture::text(&slice["name"]), begin, end)
        })
        .collect();
    slices.sort_by_key(|(cat, name, begin, end)| (*begin, *end, cat.clone(), name.clone()));
    slices
}

/// Whether two traces tell of one slice: JSON tells microseconds, rounded.
fn is_same(one: &Slice, other: &Slice) -> bool {
    let is_near = |one: u64, other: u64| one.abs_diff(other) <= 2;
    (&one.0, &one.1) == (&other.0, &other.1) && is_near(one.2, other.2) && is_near(one.3, other.3)
}

#[test]
fn the_trace_has_the_processes_of_each_shard_as_they_were_in_its_own() {
    let merged = Merged::new();
    let all = events(&merged.read("trace.json"));
    trace::are_nested_and_named(&all);
    let pids = processes(&all);
    assert_eq!(pids.values().collect::<BTreeSet<_>>().len(), 8, "{pids:?}");
    let mut begins: Vec<u64> = Vec::new();
    for (at, shard) in SHARDS.iter().enumerate() {
        let own = events(&merged.read(&format!("own-{}.json", at + 1)));
        // Another one may have built for longer.
        let begin = |events: &[Value], pid: u64| slices(events, pid)[0].2;
        let later = begin(&all, pids[&format!("{shard}: build")]) - begin(&own, BUILD);
        begins.push(begin(&all, pids[&format!("{shard}: slots")]));
        for (group, pid) in processes(&own) {
            let mut found = slices(&all, pids[&format!("{shard}: {group}")]);
            // Rounding may change the order of two that begin together.
            for (cat, name, begin, end) in slices(&own, pid) {
                let expected = (cat, name, begin + later, end + later);
                let at = found.iter().position(|found| is_same(found, &expected));
                let at = at.unwrap_or_else(|| panic!("{group} of {shard}: {expected:?} {found:?}"));
                found.remove(at);
            }
            assert!(found.is_empty(), "{group} of {shard}: {found:?}");
        }
        let tests = slices(&all, pids[&format!("{shard}: slots")]);
        let tests = tests.iter().filter(|slice| slice.0 == "test").count();
        assert_eq!(tests, merged.streams[at].tests().len(), "{shard}");
        assert!(tests > 0, "{shard} has tests");
        assert!(!slices(&all, pids[&format!("{shard}: fixtures")]).is_empty(), "{shard}");
    }
    assert!(begins[0].abs_diff(begins[1]) <= 2, "the tests of all begin together: {begins:?}");
}

/// Everything in the lanes that a mouse finds, by shard.
const FINDS: &str = include_str!("finds.html");

#[test]
fn the_page_has_the_lanes_of_each_shard_under_its_name() {
    let merged = Merged::new();
    let page = merged.read("page.html");
    let image = page.split_once("<noscript>").unwrap().1.split_once("</noscript>").unwrap().0;
    for (at, shard) in SHARDS.iter().enumerate() {
        let (_, lanes) = image.split_once(&format!("<h3>{shard}</h3>")).unwrap();
        let lanes = lanes.split_once("</svg>").unwrap().0;
        let tests = merged.streams[at].tests().len();
        assert_eq!(lanes.matches("class=\"passed\"").count(), tests, "{shard}: {lanes}");
    }
    let Some(found) = browse(&(page + FINDS)) else { return };
    let seen: BTreeSet<String> =
        found["seen"].as_array().unwrap().iter().map(fixture::text).collect();
    for (at, shard) in SHARDS.iter().enumerate() {
        for thing in
            [format!("building {at}"), format!("server {at}"), format!("slot 0 of {shard}")]
        {
            assert!(seen.contains(&thing), "{thing}: {found}");
        }
        assert!(fixture::text(&found["label"]).contains(shard), "{found}");
    }
    let slots = found["slots"].as_array().unwrap();
    assert!(slots.iter().all(|slot| fixture::text(slot).contains(" of shard ")), "{found}");
    assert_eq!(slots.len(), 8, "{found}");
    assert_eq!(found["overflow"], 0, "{found}");
}

/// A page of one run has no headings, whether it was made from its stream or by itself.
#[test]
fn a_single_run_is_drawn_as_by_itself() {
    let package = Package::shop(KEYS, TESTS);
    let ran = package.partest().args("-j2 --trace own.json").json().run().exits(0);
    package.write("run.json", &ran.stdout);
    let words = "merge run.json --html page.html --trace trace.json";
    package.partest().args(words).run().exits(0);
    let read = |path: &str| std::fs::read_to_string(package.path(path)).unwrap();
    let names = |path: &str| processes(&events(&read(path)));
    assert_eq!(names("trace.json"), names("own.json"));
    let page = read("page.html");
    assert_eq!(page.matches("<rect class=\"passed\"").count(), 8, "{page}");
    assert!(!page.contains("<h3>shard"), "{page}");
}
