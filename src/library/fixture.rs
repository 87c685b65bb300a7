//! Fixtures that many tests share, each in a process of its own.
//!
//! The contract between a fixture and the process that starts it (`cargo partest`, or here the
//! first test that asks for a value): the fixture appends lines `KEY=VALUE` to the file that
//! `PARTEST_ENV` names, prints `PARTEST_READY` on a line of its own, and stops at the end of its
//! stdin. `PARTEST_FIXTURE` is set in a fixture that was started so.

use std::any::type_name;
use std::collections::BTreeMap;
use std::env;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio, exit};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use super::lock::lock;
use super::scratch_dir::ScratchDir;

/// In a fixture's process: its name.
const FIXTURE: &str = "PARTEST_FIXTURE";
/// In a fixture's process: the file for its values.
const ENV: &str = "PARTEST_ENV";
/// In a worker: the names of the fixtures that it has the values of, separated by commas.
const FIXTURES: &str = "PARTEST_FIXTURES";
const READY: &str = "PARTEST_READY";

/// Declares a fixture: the function that sets it up, and the handle by which tests use it.
///
/// ```
/// # use std::io::{Read, Write};
/// # use std::net::{SocketAddr, TcpListener, TcpStream};
/// partest::fixture! {
///     /// A server that all tests here share.
///     pub static SERVER = fn server(setup) {
///         let listener = TcpListener::bind("127.0.0.1:0").unwrap();
///         setup.set("SERVER_ADDR", listener.local_addr().unwrap());
///         std::thread::spawn(move || {
///             for client in listener.incoming() {
///                 client.unwrap().write_all(b"at your service").unwrap();
///             }
///         });
///         setup.ready();
///         setup.wait();
///         // Code to take it down goes here.
///     }
/// }
///
/// # /*
/// #[test]
/// # */
/// fn serves() {
///     let address: SocketAddr = SERVER.get("SERVER_ADDR");
///     let mut greeting = String::new();
///     TcpStream::connect(address).unwrap().read_to_string(&mut greeting).unwrap();
///     assert_eq!(greeting, "at your service");
/// }
/// # fn main() {
/// #     // What libtest does with the test `server` and the others.
/// #     if std::env::args().any(|arg| arg == "--ignored") { SERVER.serve() } else { serves() }
/// # }
/// ```
///
/// The function becomes an ignored test of this name, and always runs in a process of its own.
/// So it gives values to tests as text, by [`Setup::set`]: its argument is a [`Setup`]. The
/// handle is a [`Shared`].
///
/// For `cargo partest` the fixture needs an entry in Cargo.toml, which names the function:
///
/// ```toml
/// [package.metadata.partest.modules]
/// "api" = { policy = "shared", fixture = "server" }
///
/// [package.metadata.partest.fixtures.server]
/// test = "api::server"
/// ```
///
/// The runner then starts it once for the whole run, before the first of its tests, and stops it
/// after the last.
///
/// Under `cargo test` and nextest the first test of a process that asks for a value starts it. It
/// is told to stop when that process has ended, however it ended, so it may be alive a moment
/// longer than the tests. `cargo partest` without the entry does the same, but then reports the
/// fixture as a process that a test left behind, and kills it with the test's process.
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
        #[ignore = "a fixture, started for the tests that use it"]
        fn $name() {
            $handle.serve();
        }
    };
}

/// The handle of a fixture that [`fixture!`](crate::fixture!) declared: tests get the fixture's
/// values from it.
#[derive(Debug)]
pub struct Shared {
    name: &'static str,
    module: &'static str,
    set_up: fn(&Setup),
    /// The fixture's process, if this process started it.
    started: OnceLock<Result<Mutex<Running>, String>>,
}

impl Shared {
    /// For [`fixture!`](crate::fixture!) only.
    #[doc(hidden)]
    pub const fn new(name: &'static str, module: &'static str, set_up: fn(&Setup)) -> Shared {
        Shared { name, module, set_up, started: OnceLock::new() }
    }

    /// The name of the fixture, which is the name of its function.
    ///
    /// ```
    /// partest::fixture! {
    ///     static DATABASE = fn database(setup) {
    ///         setup.wait();
    ///     }
    /// }
    ///
    /// assert_eq!(DATABASE.name(), "database");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// Returns the value that the fixture [`set`](Setup::set) for this key, parsed. If neither the
    /// runner nor another test of this process has started the fixture, this starts it and waits
    /// until it is ready.
    ///
    /// ```
    /// partest::fixture! {
    ///     static KITCHEN = fn kitchen(setup) {
    ///         setup.set("KITCHEN_TABLES", 7);
    ///         setup.wait();
    ///     }
    /// }
    ///
    /// # /*
    /// #[test]
    /// # */
    /// fn has_seven_tables() {
    ///     assert_eq!(KITCHEN.get::<u8>("KITCHEN_TABLES"), 7);
    /// }
    /// # fn main() {
    /// #     let is_fixture = std::env::args().any(|arg| arg == "--ignored");
    /// #     if is_fixture { KITCHEN.serve() } else { has_seven_tables() }
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// - If the fixture could not be started, failed, or is no longer running, with its output.
    /// - If it has not set this key, or if the value cannot be parsed as a `T`.
    /// - In the fixture's own function.
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
                panic!("fixture `{name}` set {key}={value}, which is not a valid {wanted}: {error}")
            }
        }
    }

    fn value(&self, key: &str) -> Result<String, String> {
        if is_listed(&env::var(FIXTURES).unwrap_or_default(), self.name) {
            return env::var(key).map_err(|_| format!("did not set {key}"));
        }
        if env::var(FIXTURE).is_ok_and(|name| name == self.name) {
            return Err("cannot get its own values".to_owned());
        }
        let started = self.started.get_or_init(|| self.start().map(Mutex::new));
        let mut running = lock(started.as_ref().map_err(String::clone)?);
        running.check()?;
        running.values.get(key).cloned().ok_or_else(|| {
            let keys: Vec<&str> = running.values.keys().map(String::as_str).collect();
            format!("did not set {key}; it set [{}]", keys.join(", "))
        })
    }

    /// Starts the fixture as `cargo partest` would: its function alone, in a process whose stdin
    /// ends with this process.
    fn start(&self) -> Result<Running, String> {
        let dir = ScratchDir::new(self.name).map_err(|error| {
            format!("needs a directory in {}: {error}", env::temp_dir().display())
        })?;
        let mut running =
            self.start_in(&dir).map_err(|error| format!("could not be started: {error}"))?;
        running.await_ready()?;
        let values = fs::read_to_string(dir.values()).unwrap_or_default();
        running.values = parse(&values);
        Ok(running)
    }

    fn start_in(&self, dir: &ScratchDir) -> io::Result<Running> {
        let output = File::create(dir.output())?;
        let mut command = Command::new(env::current_exe()?);
        command
            .args(["--exact", &self.test_name(), "--ignored", "--nocapture", "--test-threads=1"])
            .env(FIXTURE, self.name)
            .env(ENV, dir.values())
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output);
        if let Some(directory) = env::var_os("CARGO_MANIFEST_DIR") {
            command.current_dir(directory);
        }
        let output = File::open(dir.output())?;
        let child = command.spawn()?;
        Ok(Running { child, output, printed: Vec::new(), values: BTreeMap::new() })
    }

    /// The name of the fixture's test to libtest, which does not begin with the crate's.
    fn test_name(&self) -> String {
        match self.module.split_once("::") {
            Some((_, module)) => format!("{module}::{}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// The body of the fixture's test, for [`fixture!`](crate::fixture!) only.
    #[doc(hidden)]
    pub fn serve(&self) {
        let setup = Setup::new(self.name);
        let stdin = setup.is_served().then(|| setup.watch_stdin());
        (self.set_up)(&setup);
        let name = self.name;
        let is_ready = setup.is_ready.load(SeqCst);
        assert!(is_ready, "fixture `{name}` returned without calling `ready` or `wait`");
        setup.lifecycle.change(|stage| stage.has_returned = true);
        // As long as stdin is open there is nothing to wait for: the process exits now.
        if let Some(stdin) = stdin.filter(|_| setup.lifecycle.is_stopping()) {
            let _ = stdin.join();
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

/// A fixture that this process started. Its stdin is open as long as this process lives.
#[derive(Debug)]
struct Running {
    child: Child,
    output: File,
    /// All of the output that was read so far.
    printed: Vec<u8>,
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

    /// Fails if the fixture is not running any more, with its output.
    fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                Err(format!("is not running any more ({status}). Its output:\n{}", self.output()))
            }
            Err(error) => Err(format!("cannot be waited for: {error}")),
        }
    }

    fn output(&mut self) -> String {
        // Output that cannot be read is missing from the message.
        let _ = self.output.read_to_end(&mut self.printed);
        String::from_utf8_lossy(&self.printed).into_owned()
    }
}

/// The argument of a fixture's function: by it the function hands values to the tests, says that
/// it is ready, and waits for its end. It may be shared with the function's threads.
///
/// ```
/// partest::fixture! {
///     static TABLE = fn table(setup) {
///         // Set up what is shared ...
///         let dir = std::env::temp_dir().join(format!("table-{}", std::process::id()));
///         std::fs::create_dir(&dir).unwrap();
///         // ... say where it is, ...
///         setup.set("TABLE_DIR", dir.display());
///         // ... wait until no test needs it any more, ...
///         setup.ready();
///         setup.wait();
///         // ... and take it down.
///         std::fs::remove_dir(dir).unwrap();
///     }
/// }
///
/// # /*
/// #[test]
/// # */
/// fn is_laid() {
///     assert!(TABLE.get::<std::path::PathBuf>("TABLE_DIR").is_dir());
/// }
/// # fn main() {
/// #     if std::env::args().any(|arg| arg == "--ignored") { TABLE.serve() } else { is_laid() }
/// # }
/// ```
#[derive(Debug)]
pub struct Setup {
    name: &'static str,
    is_ready: AtomicBool,
    lifecycle: Arc<Lifecycle>,
}

impl Setup {
    fn new(name: &'static str) -> Setup {
        Setup { name, is_ready: AtomicBool::new(false), lifecycle: Arc::default() }
    }

    /// Whether the fixture was started for tests. Otherwise it was started by hand, as any ignored
    /// test may be.
    fn is_served(&self) -> bool {
        env::var_os(FIXTURE).is_some()
    }

    /// Gives the tests a value, which they read by [`Shared::get`]. Under `cargo partest` it becomes
    /// a variable of their environment, so the key should say which fixture it comes from.
    ///
    /// If the fixture was started by hand, as by `cargo test -- --ignored`, this only checks its
    /// arguments.
    ///
    /// [`Setup`] has an example.
    ///
    /// # Panics
    ///
    /// - If the key is empty or contains `=`, or if the key or the value contains a line break or
    ///   a null character.
    /// - If the fixture is already [`ready`](Setup::ready).
    /// - If the value cannot be written.
    #[track_caller]
    pub fn set(&self, key: &str, value: impl Display) {
        let (name, value) = (self.name, value.to_string());
        let is_line = |text: &str| !text.contains(['\n', '\r', '\0']);
        let is_key = !key.is_empty() && !key.contains('=') && is_line(key);
        assert!(is_key, "fixture `{name}`: {key:?} is not a valid key");
        assert!(
            is_line(&value),
            "fixture `{name}`: the value of {key} contains a line break or a null character"
        );
        assert!(!self.is_ready.load(SeqCst), "fixture `{name}` set {key} after it was ready");
        let Some(file) = env::var_os(ENV) else { return };
        let opened = OpenOptions::new().append(true).create(true).open(&file);
        let line = format!("{key}={value}\n");
        if let Err(error) = opened.and_then(|mut file| file.write_all(line.as_bytes())) {
            panic!("fixture `{name}` cannot write to {}: {error}", file.display());
        }
    }

    /// Says that all values are set and the tests may start. A second call does nothing.
    ///
    /// [`Setup`] has an example.
    pub fn ready(&self) {
        if !self.is_ready.swap(true, SeqCst) {
            // libtest has begun a line, and captures what macros print.
            let mut stdout = io::stdout().lock();
            let _ = writeln!(stdout, "\n{READY}").and_then(|()| stdout.flush());
        }
    }

    /// Waits until no test needs the fixture any more. What follows in the function takes it down,
    /// and has ten seconds for that. Calls [`ready`](Setup::ready) first.
    ///
    /// Returns at once if the fixture was started by hand, as by `cargo test -- --ignored`.
    ///
    /// [`Setup`] has an example.
    pub fn wait(&self) {
        self.ready();
        if self.is_served() {
            self.lifecycle.await_stop();
        }
    }

    /// Watches stdin, whose end tells the fixture to stop. A fixture that does not stop in time is
    /// ended here.
    fn watch_stdin(&self) -> thread::JoinHandle<()> {
        const GRACE: Duration = Duration::from_secs(10);
        let (lifecycle, name) = (self.lifecycle.clone(), self.name);
        let watch = move || {
            // If stdin cannot be read, it has ended, too.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            lifecycle.change(|stage| stage.is_stopping = true);
            if !lifecycle.await_return(GRACE) {
                eprintln!("fixture `{name}` did not stop within {GRACE:?} and is ended");
                exit(1);
            }
        };
        thread::spawn(watch)
    }
}

/// How far a fixture's process is, for its two threads.
#[derive(Debug, Default)]
struct Lifecycle {
    stage: Mutex<Stage>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Stage {
    /// Stdin has ended.
    is_stopping: bool,
    /// The fixture's function has returned.
    has_returned: bool,
}

impl Lifecycle {
    fn change(&self, change: impl FnOnce(&mut Stage)) {
        change(&mut lock(&self.stage));
        self.changed.notify_all();
    }

    fn is_stopping(&self) -> bool {
        lock(&self.stage).is_stopping
    }

    fn await_stop(&self) {
        drop(self.changed.wait_while(lock(&self.stage), |stage| !stage.is_stopping));
    }

    /// Waits until the function has returned, and returns whether it has done so in time.
    fn await_return(&self, timeout: Duration) -> bool {
        let is_running = |stage: &mut Stage| !stage.has_returned;
        let waited = self.changed.wait_timeout_while(lock(&self.stage), timeout, is_running);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

#[cfg(test)]
mod tests;
