//! From findings to leaks: what a finding is called, where it began, and what the rules make
//! of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::symbols::{Call, Module, Symbols};
use crate::config::leak_rules::LeakRules;
use crate::frames::Address;
use crate::leaks::finding::{Finding, Leftover};
use crate::model::duration::seconds;
use crate::model::leak::{Leak, LeakAction, LeakKind};
use crate::process::procfs::ProcessInfo;

/// What is needed to name the places of one worker.
pub struct Symbolizer<'n> {
    pub symbols: &'n mut Symbols,
    pub modules: &'n [Module],
    pub executable: &'n Path,
    pub root: &'n Path,
    /// The test's name as a thread carries it, which unnamed threads inherit.
    pub of_test: &'n str,
}

/// The kernel keeps so many bytes of a thread's name.
const LONGEST_NAME: usize = 15;

impl Symbolizer<'_> {
    pub fn calls(&mut self, addresses: &[u64]) -> Vec<Call> {
        self.symbols.calls(addresses, self.modules, self.executable, self.root)
    }

    fn are_of_text(&mut self, [table, type_id]: [Address; 2]) -> bool {
        is_of_text(&self.calls(&[type_id]))
            || self.symbols.is_table_of_text(table, self.modules, self.executable)
    }
}

/// The leaks that the rules do not hide, gravest first; a pool is one, however many threads it has.
/// `was_there` says whether a leak is an old one that the project's baseline lists.
pub fn classify(
    findings: &[Finding],
    rules: &LeakRules,
    was_there: impl Fn(LeakKind, &str) -> bool,
    names: &mut Symbolizer<'_>,
) -> Vec<Leak> {
    let leaks = findings.iter().filter_map(|finding| leak(finding, rules, names));
    let mut leaks: Vec<Leak> = leaks.filter(|leak| !was_there(leak.kind, &leak.what)).collect();
    leaks.sort_by_key(|leak| (std::cmp::Reverse(leak.action), leak.kind));
    let mut pools = BTreeSet::new();
    leaks.retain(|leak| leak.kind != LeakKind::Pool || pools.insert(leak.what.clone()));
    leaks
}

/// Processes that no worker knows: neither the environment nor any mark tells whose they are.
pub fn leaks_of_run(left: Vec<ProcessInfo>, command_line: Option<LeakAction>) -> Vec<Leak> {
    let rules = LeakRules::new(&[], command_line);
    let leak = |ProcessInfo { pid, command, age }| {
        let (kind, what, place, stack) = (LeakKind::Process, command, None, Vec::new());
        let (action, rule) = rules.decide(kind, &what);
        let detail = killed(pid, age);
        Leak { kind, what, place, detail, lived_on: None, stack, action, rule }
    };
    left.into_iter().map(leak).filter(|leak| leak.action != LeakAction::Allow).collect()
}

fn leak(finding: &Finding, rules: &LeakRules, names: &mut Symbolizer<'_>) -> Option<Leak> {
    let calls = names.calls(&finding.stack);
    let (kind, what, detail, place) = match &finding.what {
        Leftover::Thread { name, .. } if is_harmless(name, &calls) => return None,
        Leftover::Thread { name, lived_on, was_waiting, .. } => {
            let pool = pool_of(&calls);
            let kind = if pool.is_some() { LeakKind::Pool } else { LeakKind::Thread };
            let what = pool.map_or_else(|| shown_name(name, names.of_test), str::to_owned);
            (kind, what, thread_detail(*lived_on, *was_waiting), place_of(&calls))
        }
        Leftover::Panic { thread, message, methods, raised } => {
            if is_scoped(&calls) {
                return None;
            }
            let raised = names.calls(raised);
            let is_text = is_by_macro(&raised) || names.are_of_text(*methods);
            let message = if is_text { first_line(message) } else { NO_MESSAGE.to_owned() };
            let thread = shown_name(thread, names.of_test);
            let detail = format!("in thread `{thread}`");
            (LeakKind::Panic, message, detail, place_of(&raised))
        }
        Leftover::Process { pid, command, age, lived_on } => {
            let detail = match lived_on {
                Some(lived_on) => format!("pid {pid}, {}", then_ended(*lived_on)),
                None => killed(*pid, *age),
            };
            (LeakKind::Process, command.clone(), detail, place_of(&calls))
        }
    };
    let (action, rule) = rules.decide(kind, &what);
    let stack = calls.iter().map(shown_call).collect();
    let lived_on = finding.what.lived_on();
    let leak = Leak { kind, what, place, detail, lived_on, stack, action, rule };
    (leak.action != LeakAction::Allow).then_some(leak)
}

fn shown_name(name: &str, of_test: &str) -> String {
    let inherited = of_test.as_bytes().get(..LONGEST_NAME).unwrap_or(of_test.as_bytes());
    let is_unnamed = name.is_empty() || name.as_bytes() == inherited;
    if is_unnamed { "unnamed".to_owned() } else { name.to_owned() }
}

fn first_line(message: &str) -> String {
    match message.lines().next() {
        Some(line) if !line.is_empty() => line.to_owned(),
        _ => NO_MESSAGE.to_owned(),
    }
}

const NO_MESSAGE: &str = "a panic without a message";

/// Whether a panic came through the standard library's way for `panic!` with a text and all that
/// checks something: what such a panic carries is a text.
fn is_by_macro(raised: &[Call]) -> bool {
    raised.iter().any(|call| call.function.starts_with("std::panicking::begin_panic_handler"))
}

/// Whether a method is the one that tells the type of a text. Names that have types in them say
/// so, as the standard library's own do.
fn is_of_text(type_id: &[Call]) -> bool {
    const OF_TEXTS: [&str; 2] =
        ["<&str as core::any::Any>::type_id", "<alloc::string::String as core::any::Any>::type_id"];
    type_id.iter().any(|call| OF_TEXTS.contains(&call.function.as_str()))
}

fn thread_detail(lived_on: Option<Duration>, was_waiting: bool) -> String {
    let state = if was_waiting { "waiting, " } else { "" };
    match lived_on {
        Some(lived_on) => format!("{state}{}", then_ended(lived_on)),
        // Until the very end it makes no difference: it was waiting, or would not rest at all.
        None => "still alive when its process ended".to_owned(),
    }
}

fn killed(pid: u32, age: Duration) -> String {
    format!("pid {pid}, {} s old, killed", seconds(age))
}

fn then_ended(lived_on: Duration) -> String {
    format!("lived on for {} s, then ended", seconds(lived_on))
}

fn shown_call(call: &Call) -> String {
    match &call.place {
        Some(place) => format!("{} at {place}", call.function),
        None => call.function.clone(),
    }
}

/// The place that a person would look at: the innermost one in the workspace's own sources, or
/// else the first outside of the standard library and of runtimes that start threads for others.
fn place_of(calls: &[Call]) -> Option<String> {
    let ours = calls.iter().find(|call| call.is_ours && !is_library_of_ours(call));
    ours.or_else(|| calls.iter().find(|call| !is_machinery(call)))
        .and_then(|call| call.place.clone())
}

/// The calls of a waiting thread that tell a person something: the last call into a library,
/// and what led to it. Where nothing but libraries is known, their innermost calls.
pub fn relevant_calls(calls: &[Call]) -> &[Call] {
    const INNERMOST: usize = 5;
    let first = calls.iter().position(|call| !is_machinery(call));
    let last = calls.iter().rposition(|call| !is_machinery(call));
    match (first, last) {
        (Some(first), Some(last)) => &calls[first.saturating_sub(1)..=last],
        _ => &calls[..calls.len().min(INNERMOST)],
    }
}

/// Parts of the library `partest` that start threads for others, also where it is built as a part
/// of the workspace.
const OF_LIBRARY: [&str; 2] = ["partest::library::fixture::", "partest::library::spawn::"];

fn is_library_of_ours(call: &Call) -> bool {
    OF_LIBRARY.iter().any(|part| plain(&call.function).starts_with(part))
}

/// A function's path without what stands before it in a method's name.
fn plain(function: &str) -> &str {
    function.trim_start_matches(['<', '&'])
}

/// Crates whose frames say how a thread was started, and not who wanted it.
const RUNTIMES: [&str; 12] = [
    "std::",
    "core::",
    "alloc::",
    "tokio::",
    "rayon::",
    "rayon_core::",
    "async_std::",
    "smol::",
    "async_global_executor::",
    "blocking::",
    "crossbeam_utils::",
    "futures_executor::",
];

fn is_machinery(call: &Call) -> bool {
    let function = plain(&call.function);
    let is_known = RUNTIMES.iter().chain(&OF_LIBRARY).any(|known| function.starts_with(known));
    let place = call.place.as_deref().unwrap_or_default();
    let is_library = place.starts_with("library/")
        || place.contains("/library/std/")
        // The interceptors of sanitizers.
        || place.contains("/compiler-rt/lib/");
    // libc and the loader have no Rust paths.
    is_known || is_library || call.place.is_none()
}

/// Pools that live as long as their process by design, by the function that starts them.
const POOLS: [(&str, &str); 6] = [
    ("rayon_core::registry::global_registry", "rayon's global pool"),
    ("rayon_core::registry::init_global_registry", "rayon's global pool"),
    ("async_global_executor::", "async-global-executor's pool"),
    ("smol::spawn::spawn::global", "smol's global executor"),
    ("blocking::Executor", "blocking's pool"),
    ("async_io::driver", "async-io's reactor"),
];

/// Whether these calls start a thread of a pool: it is not going to end before its process.
pub fn is_pool(calls: &[Call]) -> bool {
    pool_of(calls).is_some()
}

fn pool_of(calls: &[Call]) -> Option<&'static str> {
    let is_called = |function: &str| calls.iter().any(|call| call.function.contains(function));
    POOLS.iter().find(|(function, _)| is_called(function)).map(|(_, pool)| *pool)
}

/// Threads that libraries leave behind by design and for a moment only, where no test can do
/// anything about them: their name, and the function that starts them. trybuild's ends within half
/// a second after the lock that it keeps alive has been released.
const HARMLESS: [(&str, &str); 1] = [("trybuild-flock", "trybuild::flock::FileLock::acquire")];

fn is_harmless(name: &str, started: &[Call]) -> bool {
    HARMLESS.iter().any(|(known, function)| {
        name == *known || started.iter().any(|call| plain(&call.function).starts_with(function))
    })
}

/// Whether a thread belongs to a scope, which learns of its panic without joining it.
fn is_scoped(spawned: &[Call]) -> bool {
    spawned.iter().any(|call| call.function.contains("std::thread::scoped::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(function: &str, place: Option<&str>) -> Call {
        let is_ours = place.is_some_and(|place| place.starts_with("src/"));
        Call { function: function.into(), place: place.map(str::to_owned), is_ours }
    }

    #[test]
    fn the_place_is_the_first_that_a_person_wrote() {
        let calls = [
            call("std::thread::Builder::spawn", Some("library/std/src/thread.rs:9")),
            call("rayon_core::registry::Registry::new", Some("/home/x/rayon/src/r.rs:1")),
            call("web::db::Pool::open", Some("src/db.rs:88")),
            call("web::db::tests::opens", Some("src/db.rs:120")),
        ];
        assert_eq!(place_of(&calls).as_deref(), Some("src/db.rs:88"));
        assert_eq!(place_of(&calls[..2]), None);
    }

    #[test]
    fn what_a_sanitizer_puts_between_is_no_place() {
        let rt = "/rustc/llvm/src/llvm-project/compiler-rt/lib/tsan/rtl/tsan_interceptors.cpp:1";
        let calls = [
            call("pthread_create", Some(rt)),
            call("std::sys::pal::unix::thread::Thread::new", Some("library/std/src/t.rs:9")),
            call("pool::Pool::open", Some("/registry/pool/src/lib.rs:8")),
        ];
        assert_eq!(place_of(&calls).as_deref(), Some("/registry/pool/src/lib.rs:8"));
        assert_eq!(place_of(&calls[..2]), None);
    }

    #[test]
    fn the_thread_of_trybuilds_lock_is_known_by_its_name_or_by_who_starts_it() {
        let started = |function: &str| [call("std::thread::spawn", None), call(function, None)];
        assert!(is_harmless("", &started("trybuild::flock::FileLock::acquire")));
        assert!(is_harmless("trybuild-flock", &[]));
        assert!(!is_harmless("reaper", &started("web::trybuild::flock::FileLock::acquire")));
    }

    #[test]
    fn a_place_of_the_workspace_comes_before_all_others() {
        let calls = [
            call("async_lock::once_cell::OnceCell<T>::get_or_init", Some("/registry/o.rs:5")),
            call("tokio::task::spawn", Some("src/task.rs:3")),
            call("web::tests::opens", Some("src/lib.rs:9")),
        ];
        assert_eq!(place_of(&calls).as_deref(), Some("src/task.rs:3"), "the workspace of tokio");
        assert_eq!(place_of(&calls[..1]).as_deref(), Some("/registry/o.rs:5"));
        let library = call("partest::library::spawn::spawn", Some("src/library/spawn.rs:1"));
        assert_eq!(place_of(&[library, calls[2].clone()]).as_deref(), Some("src/lib.rs:9"));
    }

    #[test]
    fn what_a_dependency_keeps_below_the_workspace_is_not_the_workspaces() {
        use crate::leaks::symbols::is_ours;
        let root = Path::new("/work");
        assert!(is_ours("/work/src/lib.rs", root));
        assert!(!is_ours("/work/vendor/smol/src/spawn.rs", root));
        assert!(!is_ours("/home/x/.cargo/registry/src/smol/src/spawn.rs", root));
    }

    #[test]
    fn of_a_waiting_thread_the_last_library_call_and_the_way_to_it_are_shown() {
        let calls = [
            call("syscall", None),
            call("std::sync::mpsc::Receiver<T>::recv", Some("library/std/src/m.rs:1")),
            call("web::db::Pool::get", Some("src/db.rs:88")),
            call("web::db::tests::waits", Some("src/db.rs:120")),
            call("core::ops::function::FnOnce::call_once", None),
        ];
        assert_eq!(relevant_calls(&calls), &calls[1..4]);
        assert_eq!(relevant_calls(&calls[..2]), &calls[..2]);
    }

    #[test]
    fn only_what_is_known_to_be_a_text_is_one() {
        let calls = |function: &str| [call("rust_panic", None), call(function, None)];
        assert!(is_by_macro(&calls("std::panicking::begin_panic_handler::{closure#0}")));
        assert!(!is_by_macro(&calls("std::panicking::begin_panic")));
        assert!(is_of_text(&[call("<&str as core::any::Any>::type_id", None)]));
        assert!(!is_of_text(&[call("<T as core::any::Any>::type_id", None)]));
        assert!(!is_of_text(&[]));
    }

    #[test]
    fn a_pool_is_named() {
        let calls = [
            call("std::sync::once::Once::call", None),
            call("rayon_core::registry::global_registry", None),
        ];
        assert_eq!(pool_of(&calls), Some("rayon's global pool"));
        let smol = [call("smol::spawn::spawn::global::{{closure}}", None)];
        assert_eq!(pool_of(&smol), Some("smol's global executor"));
        assert_eq!(pool_of(&[call("web::pool", None)]), None);
    }
}
