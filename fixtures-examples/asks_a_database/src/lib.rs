//! Tests that talk to a real PostgreSQL: a server for the run, a template made once, and a database
//! of their own for the tests of each slot, so that they run side by side and never meet.
//!
//! Under `cargo partest` the three fixtures start one after another, each with what the one before
//! has handed over: the server in a new directory, `books` with all tables, and `library_0`,
//! `library_1` and so on as copies of it. All six tests pass. They write to the same rows, so that in
//! a common database they would fail. At the end everything is taken back in the opposite order, and
//! neither a process nor a file is left; `tests/lending/postgres.rs` says what happens to the
//! directory when the run is killed.
//!
//! PostgreSQL has to be installed (Debian, Ubuntu: `apt-get install postgresql`); where it is not, all
//! tests are blocked, and say so. Under `cargo test`, which starts no fixtures, they fail.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A library that lends books, and writes it down in a database: in the one that PostgreSQL's own
/// variables name, `PGHOST`, `PGUSER` and `PGDATABASE`.
pub struct Library {
    psql: PathBuf,
}

impl Library {
    pub fn open(psql: PathBuf) -> Library {
        Library { psql }
    }

    pub fn lend(&self, book: &str, reader: &str) -> Result<(), String> {
        let values = [("book", book), ("reader", reader)];
        self.ask("INSERT INTO loans VALUES (:'book', :'reader')", &values)
            .map(drop)
    }

    pub fn take_back(&self, book: &str) -> Result<(), String> {
        self.ask("DELETE FROM loans WHERE book = :'book'", &[("book", book)])
            .map(drop)
    }

    /// Who has which book: `book|reader`.
    pub fn loans(&self) -> Result<Vec<String>, String> {
        self.ask("SELECT book, reader FROM loans ORDER BY book", &[])
    }

    /// The lines of an answer. PostgreSQL's own client talks to it: that needs no dependency.
    pub fn ask(&self, sql: &str, values: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let mut psql = Command::new(&self.psql);
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]);
        psql.arg("--set=ON_ERROR_STOP=1");
        psql.args(values.iter().map(|(k, v)| format!("--set={k}={v}")));
        psql.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut psql = psql.spawn().map_err(|error| format!("psql: {error}"))?;
        let mut stdin = psql.stdin.take().expect("it was asked for");
        // Where it has ended before it could read, its own words say why.
        let _ = stdin.write_all(format!("{sql};\n").as_bytes());
        drop(stdin);
        let done = psql
            .wait_with_output()
            .map_err(|error| format!("psql: {error}"))?;
        match done.status.success() {
            true => Ok(String::from_utf8_lossy(&done.stdout)
                .lines()
                .map(str::to_owned)
                .collect()),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }
}
