//! The fixture `postgres`: a server of our own, which nobody outside of this run can reach.
//!
//! It listens at a Unix socket, in a directory that holds all of its files and is removed at the end,
//! also when the run is killed: the end of our input comes then, too. Should we be killed ourselves,
//! the kernel tells the server to end, and the next run that finds the directory removes it.

use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, id};
use std::{env, io};

#[test]
#[ignore = "a fixture, which the runner starts"]
fn serves() {
    let server = Server::new().unwrap_or_else(|error| panic!("{error}"));
    let values = env::var("PARTEST_ENV").expect("the runner says where its values go");
    let mut values = File::options().append(true).open(values).unwrap();
    // The names that PostgreSQL's own programs and libraries know, and where these programs are.
    writeln!(values, "PGHOST={}", server.place.0.display()).unwrap();
    writeln!(values, "PGPORT={PORT}\nPGUSER={USER}").unwrap();
    writeln!(values, "POSTGRES_BIN={}", server.programs.display()).unwrap();
    // The server itself says when it is ready: see Cargo.toml.
    let _running = server.start().unwrap();
    // The end of the input is how the runner says that it is over.
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

const PORT: &str = "5432";
const USER: &str = "librarian";

struct Server {
    programs: PathBuf,
    place: Place,
    /// It refuses to run as root: who runs it then.
    account: Option<(u32, u32)>,
}

impl Server {
    fn new() -> io::Result<Server> {
        let programs = programs()?;
        let place = Place::new()?;
        let is_root = fs::metadata(&place.0)?.uid() == 0;
        let account = is_root.then(account).transpose()?;
        if let Some((user, group)) = account {
            chown(&place.0, Some(user), Some(group))?;
        }
        let server = Server {
            programs,
            place,
            account,
        };
        let mut initdb = server.program("initdb");
        initdb.args([
            "--no-locale",
            "--encoding=UTF8",
            "--auth=trust",
            "--no-sync",
        ]);
        server.run(initdb.arg(format!("--username={USER}")))?;
        Ok(server)
    }

    fn start(&self) -> io::Result<Running<'_>> {
        let mut postgres = self.program("postgres");
        // What is gone after the run need not be safe on the disk.
        let settings = [
            "listen_addresses=",
            "fsync=off",
            "full_page_writes=off",
            "synchronous_commit=off",
            "autovacuum=off",
        ];
        postgres.args(settings.map(|setting| format!("--{setting}")));
        postgres.args(["-p", PORT, "-k"]).arg(&self.place.0);
        dies_with_us(&mut postgres);
        let process = postgres.spawn()?;
        Ok(Running {
            server: self,
            process,
        })
    }

    /// One of PostgreSQL's programs, on our data.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.arg("-D").arg(self.place.0.join("data"));
        // Whoever runs it may not be allowed to see the directory that we are in.
        command.current_dir(&self.place.0);
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }

    fn run(&self, command: &mut Command) -> io::Result<()> {
        let done = command.output()?;
        match done.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(
                String::from_utf8_lossy(&done.stderr).into_owned(),
            )),
        }
    }
}

/// Ends when it is dropped, also where the function that holds it panics.
struct Running<'s> {
    server: &'s Server,
    process: Child,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut stop = self.server.program("pg_ctl");
        if let Err(error) = self.server.run(stop.args(["stop", "--mode=fast"])) {
            eprintln!("the server is killed: {error}");
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// The kernel ends the server when we end, however that happens: SIGQUIT makes it stop at once.
///
/// Here and not earlier, since a change of the account forgets it.
fn dies_with_us(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        const PR_SET_PDEATHSIG: i32 = 1;
        const SIGQUIT: u64 = 3;
        unsafe extern "C" {
            fn prctl(option: i32, ...) -> i32;
        }
        let ask = || match unsafe { prctl(PR_SET_PDEATHSIG, SIGQUIT) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        };
        // SAFETY: it does nothing but one system call.
        unsafe { command.pre_exec(ask) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

/// The directory where PostgreSQL's programs are; Debian does not put the server on the PATH.
fn programs() -> io::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|folder| folder.join("initdb"));
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut of_debian: Vec<PathBuf> = versions.flatten().map(|version| version.path()).collect();
    // `9.6` before `10`, which is the newer one.
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<f32>().ok();
    of_debian.sort_by(|a, b| number(b).partial_cmp(&number(a)).unwrap());
    let of_debian = of_debian
        .into_iter()
        .map(|version| version.join("bin/initdb"));
    let told = Command::new("pg_config").arg("--bindir").output();
    let told = told
        .ok()
        .map(|told| PathBuf::from(String::from_utf8_lossy(&told.stdout).trim()).join("initdb"));
    // The others stand beside the file itself, not beside links to it.
    let is_complete = |folder: &PathBuf| {
        let needed = ["postgres", "pg_ctl", "psql", "createdb", "dropdb"];
        needed.iter().all(|program| folder.join(program).is_file())
    };
    on_path
        .chain(of_debian)
        .chain(told)
        .filter_map(|initdb| Some(initdb.canonicalize().ok()?.parent()?.to_owned()))
        .find(is_complete)
        .ok_or_else(|| {
            io::Error::other("PostgreSQL is not installed (Debian: apt-get install postgresql)")
        })
}

/// A user and a group that are not root's.
fn account() -> io::Result<(u32, u32)> {
    let number = |flag: &str, user: &str| -> Option<u32> {
        let told = Command::new("id").args([flag, user]).output().ok()?;
        String::from_utf8_lossy(&told.stdout).trim().parse().ok()
    };
    let of = |user: &&str| Some((number("-u", user)?, number("-g", user)?));
    ["postgres", "nobody"]
        .iter()
        .find_map(of)
        .ok_or_else(|| io::Error::other("neither a user `postgres` nor `nobody`"))
}

/// A new directory, which is removed when this is dropped.
struct Place(
    PathBuf,
    #[allow(dead_code, reason = "it listens")] UnixListener,
);

const PREFIX: &str = "asks_a_database-";

/// The name of a socket that has no other purpose than to be connected to as long as we live.
const LIFE: &str = "life";

impl Place {
    fn new() -> io::Result<Place> {
        remove_what_the_dead_have_left();
        let place = env::temp_dir().join(format!("{PREFIX}{}", id()));
        DirBuilder::new().mode(0o700).create(&place)?;
        let life = UnixListener::bind(place.join(LIFE))?;
        Ok(Place(place, life))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} is left: {error}", self.0.display());
        }
    }
}

/// Directories of runs that were killed. A process number would tell less: there may be another
/// process of that number by now, or the directory may be that of another container.
fn remove_what_the_dead_have_left() {
    let is_dead = |place: &Path| {
        let knock = UnixStream::connect(place.join(LIFE));
        knock.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    let others = fs::read_dir(env::temp_dir())
        .into_iter()
        .flatten()
        .flatten();
    for other in others {
        if other.file_name().to_string_lossy().starts_with(PREFIX) && is_dead(&other.path()) {
            // Another run may be about to do the same.
            let _ = fs::remove_dir_all(other.path());
        }
    }
}
