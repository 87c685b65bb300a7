//! Fixtures that many tests share, each in a process of its own.
//!
//! The contract between a fixture and whoever starts it (`cargo partest`, or here the first
//! test that asks): it appends lines `KEY=VALUE` to the file that `PARTEST_ENV` names, prints
//! `PARTEST_READY` on a line of its own, and stops at the end of its stdin. `PARTEST_FIXTURE`
//! tells it that it was started so.

use std::any::type_name;
use std::collections::BTreeMap;
use std::env;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio, exit, id};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use super::lock::lock;

/// In a fixture's own process: its name.
const FIXTURE: &str = "PARTEST_FIXTURE";
/// In a fixture's own process: where its values go.
const ENV: &str = "PARTEST_ENV";
/// In a worker: the names of the fixtures whose values it has, parted by commas.
const FIXTURES: &str = "PARTEST_FIXTURES";
const READY: &str = "PARTEST_READY";

/// Declares a fixture once: the function that sets it up, and the handle by which tests use it.
///
/// ```no_run
/// partest::fixture! {
///     /// A database that all tests here share.
///     pub static DATABASE = fn database(setup) {
///         let mut server = std::process::Command::new("postgres").spawn().unwrap();
///         setup.set("DATABASE_URL", "postgres://localhost/test");
///         setup.ready();
///         setup.wait();
///         server.kill().unwrap();
///         server.wait().unwrap();
///     }
/// }
///
/// #[test]
/// fn has_no_users() {
///     let url: String = DATABASE.get("DATABASE_URL");
/// }
/// # fn main() {}
/// ```
///
/// The function becomes a test of its name, which is ignored unless somebody starts it. It gets
/// a [`Setup`], and always runs in a process of its own; so what it says to tests, it says in
/// text, by [`Setup::set`]. The handle is a [`Shared`].
///
/// For `cargo partest` the fixture needs an entry in Cargo.toml, with the name of the function:
///
/// ```toml
/// [package.metadata.partest.modules]
/// "api" = { policy = "shared", fixture = "database" }
///
/// [package.metadata.partest.fixtures.database]
/// test = "api::database"
/// ```
///
/// It is then started once for the whole run, before the first of its tests, and stopped after
/// the last. Under `cargo test` and nextest the first test of a process that asks for a value
/// starts it, and it is told to stop when that process has ended, however it ended; so it may
/// run a moment longer than the tests.
///
/// `cargo partest` without that entry does the same, but then the fixture is a process that a
/// test has left behind: it is reported, and ended with the test's own process.
#[macro_export]
macro_rules! fixture {
    (
        $(#[$attribute:meta])*
        $visibility:vis static $handle:ident = fn $name:ident($setup:ident) $body:block
    ) => {
        $(#[$attribute])*
        $visibility static $handle: $crate::Shared = {
            fn set_up($setup: &$crate::Setup) $body
            $crate::Shared::new(::core::stringify!($name), ::core::module_path!(), set_up)
        };

        #[test]
        #[ignore = "a fixture, which is started for the tests that use it"]
        fn $name() {
            $handle.serve();
        }
    };
}

/// The handle of a fixture that [`fixture!`](crate::fixture!) has declared.
#[derive(Debug)]
pub struct Shared {
    name: &'static str,
    module: &'static str,
    set_up: fn(&Setup),
    /// The one that this process has started.
    own: OnceLock<Result<Mutex<Running>, String>>,
}

impl Shared {
    #[doc(hidden)]
    pub const fn new(name: &'static str, module: &'static str, set_up: fn(&Setup)) -> Shared {
        Shared { name, module, set_up, own: OnceLock::new() }
    }

    /// The fixture's name, which is that of its function.
    pub fn name(&self) -> &str {
        self.name
    }

    /// What the fixture has [`set`](Setup::set), as the type that is asked for. Starts the
    /// fixture if nobody has, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When the fixture could not be set up, with all that it printed; when it has ended since;
    /// when it has not set this key, or the value is not of this type.
    #[track_caller]
    pub fn get<T>(&self, key: &str) -> T
    where
        T: FromStr,
        T::Err: Display,
    {
        let value = match self.value(key) {
            Ok(value) => value,
            Err(why) => panic!("fixture `{}` {why}", self.name),
        };
        match value.parse() {
            Ok(parsed) => parsed,
            Err(error) => {
                let (name, wanted) = (self.name, type_name::<T>());
                panic!("fixture `{name}` has set {key}={value}, which is no {wanted}: {error}")
            }
        }
    }

    fn value(&self, key: &str) -> Result<String, String> {
        if is_listed(&env::var(FIXTURES).unwrap_or_default(), self.name) {
            return env::var(key).map_err(|_| format!("has not set {key}"));
        }
        if env::var(FIXTURE).is_ok_and(|name| name == self.name) {
            return Err("asks for its own values".to_owned());
        }
        let own = self.own.get_or_init(|| self.start().map(Mutex::new));
        let mut running = lock(own.as_ref().map_err(String::clone)?);
        running.check()?;
        let all = || running.values.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        running
            .values
            .get(key)
            .cloned()
            .ok_or_else(|| format!("has not set {key}, but [{}]", all()))
    }

    /// Starts the fixture as `cargo partest` would: its function alone, in a process whose stdin
    /// ends with this one.
    fn start(&self) -> Result<Running, String> {
        let place = Scratch::new(self.name)
            .map_err(|error| format!("has no room in {}: {error}", env::temp_dir().display()))?;
        let mut running = self
            .start_in(&place)
            .map_err(|error| format!("could not be started by itself: {error}"))?;
        running.await_ready()?;
        let values = fs::read_to_string(place.values()).unwrap_or_default();
        running.values = parse(&values);
        Ok(running)
    }

    fn start_in(&self, place: &Scratch) -> io::Result<Running> {
        let output = File::create(place.output())?;
        let mut command = Command::new(env::current_exe()?);
        command
            .args(["--exact", &self.test_name(), "--ignored", "--nocapture", "--test-threads=1"])
            .env(FIXTURE, self.name)
            .env(ENV, place.values())
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output);
        if let Some(directory) = env::var_os("CARGO_MANIFEST_DIR") {
            command.current_dir(directory);
        }
        let output = File::open(place.output())?;
        let child = command.spawn()?;
        Ok(Running { child, output, said: Vec::new(), values: BTreeMap::new() })
    }

    /// As libtest names it: without the name of the crate.
    fn test_name(&self) -> String {
        match self.module.split_once("::") {
            Some((_, module)) => format!("{module}::{}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// What the ignored test does.
    #[doc(hidden)]
    pub fn serve(&self) {
        let setup = Setup::new(self.name);
        let end = setup.is_served().then(|| setup.await_end());
        (self.set_up)(&setup);
        assert!(setup.is_ready.load(SeqCst), "fixture `{}` ended without being ready", self.name);
        setup.life.change(|stage| stage.is_done = true);
        // Until stdin ends there is nothing to wait for: the process ends now.
        if let Some(end) = end.filter(|_| setup.life.is_told()) {
            let _ = end.join();
        }
    }
}

fn is_listed(names: &str, name: &str) -> bool {
    names.split(',').any(|listed| listed.trim() == name)
}

fn parse(values: &str) -> BTreeMap<String, String> {
    let pairs = values.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A fixture that this process has started. Its stdin is open as long as this process lives.
#[derive(Debug)]
struct Running {
    child: Child,
    output: File,
    said: Vec<u8>,
    values: BTreeMap<String, String>,
}

impl Running {
    fn await_ready(&mut self) -> Result<(), String> {
        const LONGEST_PAUSE: Duration = Duration::from_millis(20);
        let mut pause = Duration::from_millis(1);
        while !self.output().lines().any(|line| line.trim_end() == READY) {
            self.check()?;
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    /// Fails when it has ended, with all that it said.
    fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("has ended ({status}):\n{}", self.output())),
            Err(error) => Err(format!("cannot be looked at: {error}")),
        }
    }

    fn output(&mut self) -> String {
        // What cannot be read is not told.
        let _ = self.output.read_to_end(&mut self.said);
        String::from_utf8_lossy(&self.said).into_owned()
    }
}

/// A directory for the two files of a fixture's start, gone when it is ready.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> io::Result<Scratch> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        const TRIES: u32 = 1_000;
        let free = |_| {
            let number = NUMBER.fetch_add(1, SeqCst);
            let path = env::temp_dir().join(format!("partest-{}-{name}-{number}", id()));
            match fs::create_dir(&path) {
                // A process of the same number left it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                created => Some(created.map(|()| Scratch(path))),
            }
        };
        (0..TRIES).find_map(free).unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
    }

    fn values(&self) -> PathBuf {
        self.0.join("values")
    }

    fn output(&self) -> PathBuf {
        self.0.join("output")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Where open files cannot be removed, the directory for temporary files keeps it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a fixture's function is given to say how far it is.
#[derive(Debug)]
pub struct Setup {
    name: &'static str,
    is_ready: AtomicBool,
    life: Arc<Life>,
}

impl Setup {
    fn new(name: &'static str) -> Setup {
        Setup { name, is_ready: AtomicBool::new(false), life: Arc::default() }
    }

    /// Whether somebody waits for this fixture. Otherwise it was started by hand, as any ignored
    /// test may be.
    fn is_served(&self) -> bool {
        env::var_os(FIXTURE).is_some()
    }

    /// Gives the tests a value. Under `cargo partest` it is a variable of their environment, so
    /// the key had better say whose it is.
    ///
    /// # Panics
    ///
    /// When the tests could not read it as it is: a key that is empty or contains `=`, a line
    /// break in either; when it comes after [`ready`](Setup::ready); when it cannot be written.
    #[track_caller]
    pub fn set(&self, key: &str, value: impl Display) {
        let (name, value) = (self.name, value.to_string());
        let is_line = |text: &str| !text.contains(['\n', '\r', '\0']);
        let is_key = !key.is_empty() && !key.contains('=') && is_line(key);
        assert!(is_key, "fixture `{name}`: {key:?} is no name for a value");
        assert!(is_line(&value), "fixture `{name}`: the value of {key} is more than a line");
        assert!(!self.is_ready.load(SeqCst), "fixture `{name}` sets {key} after it was ready");
        let Some(file) = env::var_os(ENV) else { return };
        let opened = OpenOptions::new().append(true).create(true).open(&file);
        let line = format!("{key}={value}\n");
        if let Err(error) = opened.and_then(|mut file| file.write_all(line.as_bytes())) {
            panic!("fixture `{name}` cannot write {}: {error}", file.display());
        }
    }

    /// Lets the tests begin.
    pub fn ready(&self) {
        if !self.is_ready.swap(true, SeqCst) {
            // libtest has begun the line, and keeps what macros print.
            let mut stdout = io::stdout().lock();
            let _ = writeln!(stdout, "\n{READY}").and_then(|()| stdout.flush());
        }
    }

    /// Waits until no test needs the fixture any more; what follows may take it down, for which
    /// there are ten seconds. A fixture that is not [`ready`](Setup::ready) is so now.
    ///
    /// Returns at once when nobody has started the fixture for a test, as in
    /// `cargo test -- --ignored`.
    pub fn wait(&self) {
        self.ready();
        if self.is_served() {
            self.life.await_told();
        }
    }

    /// Watches stdin, whose end tells the fixture to stop; one that does not stop is ended.
    fn await_end(&self) -> thread::JoinHandle<()> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let (life, name) = (self.life.clone(), self.name);
        let watch = move || {
            // An input that cannot be read has ended, too.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            life.change(|stage| stage.is_told = true);
            if !life.await_done(PATIENCE) {
                eprintln!("fixture `{name}` was told to stop, and has not within {PATIENCE:?}");
                exit(1);
            }
        };
        thread::spawn(watch)
    }
}

/// How far a fixture's process is.
#[derive(Debug, Default)]
struct Life {
    stage: Mutex<Stage>,
    change: Condvar,
}

#[derive(Debug, Default)]
struct Stage {
    /// Stdin has ended.
    is_told: bool,
    /// The function has returned.
    is_done: bool,
}

impl Life {
    fn change(&self, change: impl FnOnce(&mut Stage)) {
        change(&mut lock(&self.stage));
        self.change.notify_all();
    }

    fn is_told(&self) -> bool {
        lock(&self.stage).is_told
    }

    fn await_told(&self) {
        drop(self.change.wait_while(lock(&self.stage), |stage| !stage.is_told));
    }

    /// False: the time was over first.
    fn await_done(&self, time: Duration) -> bool {
        let is_not = |stage: &mut Stage| !stage.is_done;
        let waited = self.change.wait_timeout_while(lock(&self.stage), time, is_not);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::fixture! {
        static KITCHEN = fn kitchen(setup) {
            setup.set("KITCHEN_TABLES", 7);
            setup.set("KITCHEN_SIGN", "open = yes");
            setup.wait();
        }
    }

    crate::fixture! {
        static BURNT = fn burnt(_setup) {
            panic!("no gas");
        }
    }

    /// What a user is told.
    fn complaint<T: FromStr<Err: Display>>(fixture: &Shared, key: &str) -> String {
        let asked = std::panic::catch_unwind(|| drop(fixture.get::<T>(key)));
        *asked.unwrap_err().downcast::<String>().unwrap()
    }

    #[test]
    fn values_have_the_type_that_is_asked_for() {
        assert_eq!(KITCHEN.get::<u8>("KITCHEN_TABLES"), 7);
        assert_eq!(KITCHEN.get::<String>("KITCHEN_SIGN"), "open = yes");
        let told = complaint::<u8>(&KITCHEN, "KITCHEN_SIGN");
        let expected = "fixture `kitchen` has set KITCHEN_SIGN=open = yes, which is no u8: \
                        invalid digit found in string";
        assert_eq!(told, expected);
        let told = complaint::<u8>(&KITCHEN, "CHAIRS");
        let expected = "fixture `kitchen` has not set CHAIRS, but [KITCHEN_SIGN, KITCHEN_TABLES]";
        assert_eq!(told, expected);
    }

    #[test]
    fn every_user_of_a_fixture_that_fails_is_told_why() {
        for _ in 0..2 {
            let told = complaint::<String>(&BURNT, "ANY");
            assert!(told.starts_with("fixture `burnt` has ended"), "{told}");
            assert!(told.contains("no gas"), "{told}");
        }
    }

    #[test]
    fn a_name_is_looked_for_as_a_whole() {
        assert!(is_listed("a, kitchen", "kitchen"));
        assert!(!is_listed("kitchens", "kitchen") && !is_listed("", "kitchen"));
    }
}
