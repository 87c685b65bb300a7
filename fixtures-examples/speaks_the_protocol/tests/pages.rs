//! The harness: lists, filters, runs and reports as `libtest-mimic` 0.8 does. It takes one filter;
//! a second one is a usage error with exit code 2. Exit code 101 says that a test failed.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use speaks_the_protocol::{check, pages};

#[derive(Default)]
struct Arguments {
    list: bool,
    exact: bool,
    ignored: bool,
    include_ignored: bool,
    filter: Option<String>,
    skip: Vec<String>,
    logfile: Option<String>,
}

impl Arguments {
    fn read() -> Result<Arguments, String> {
        let mut read = Arguments::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let (flag, inline) = match word.split_once('=') {
                Some((flag, value)) if word.starts_with("--") => {
                    (flag.to_owned(), Some(value.to_owned()))
                }
                _ => (word, None),
            };
            let mut value = || {
                inline
                    .clone()
                    .or_else(|| words.next())
                    .ok_or(format!("{flag} needs a value"))
            };
            match flag.as_str() {
                "--list" => read.list = true,
                "--exact" => read.exact = true,
                "--ignored" => read.ignored = true,
                "--include-ignored" => read.include_ignored = true,
                "--skip" => read.skip.push(value()?),
                "--logfile" => read.logfile = Some(value()?),
                "--format" => match value()?.as_str() {
                    "pretty" | "terse" => {}
                    other => return Err(format!("invalid value {other:?} for --format")),
                },
                "--test-threads" => {
                    let number = value()?;
                    number
                        .parse::<u32>()
                        .map_err(|_| format!("{number:?} is no number of threads"))?;
                }
                "--color" => drop(value()?),
                "--nocapture" | "--no-capture" | "--show-output" | "--quiet" | "-q" | "--test" => {}
                _ if flag.starts_with('-') => return Err(format!("unexpected argument {flag:?}")),
                _ if read.filter.is_some() => {
                    return Err(format!("unexpected argument {flag:?}: one filter only"));
                }
                _ => read.filter = Some(flag),
            }
        }
        Ok(read)
    }

    fn matches(&self, name: &str, pattern: &str) -> bool {
        if self.exact {
            name == pattern
        } else {
            name.contains(pattern)
        }
    }

    fn selects(&self, name: &str) -> bool {
        self.filter.iter().all(|filter| self.matches(name, filter))
            && !self.skip.iter().any(|skip| self.matches(name, skip))
            && (!self.ignored || is_ignored(name))
    }
}

fn is_ignored(name: &str) -> bool {
    name == "appendix"
}

/// Tells whoever set `FIXTURE_LOG` to a directory what happened, in the file `name` there.
fn log(name: &str, line: &str) {
    if let Some(directory) = std::env::var_os("FIXTURE_LOG") {
        let path = Path::new(&directory).join(name);
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let all = pages();
    let selected: Vec<_> = all
        .iter()
        .filter(|(name, _)| arguments.selects(name))
        .collect();
    if arguments.list {
        for (name, _) in selected {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }

    let mut out: Box<dyn Write> = match &arguments.logfile {
        Some(path) => Box::new(std::fs::File::create(path).unwrap()),
        None => Box::new(std::io::stdout()),
    };
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    writeln!(out, "\nrunning {} tests", selected.len()).unwrap();
    for (name, text) in &selected {
        let verdict = if is_ignored(name) && !arguments.ignored && !arguments.include_ignored {
            ignored += 1;
            "ignored"
        } else {
            log("ran", &format!("{name} {}", std::process::id()));
            match check(text) {
                Ok(()) => {
                    passed += 1;
                    "ok"
                }
                Err(complaint) => {
                    failed += 1;
                    eprintln!("{name}: {complaint}");
                    "FAILED"
                }
            }
        };
        writeln!(out, "test {name} ... {verdict}").unwrap();
    }
    let (result, code) = if failed == 0 {
        ("ok", 0)
    } else {
        ("FAILED", 101)
    };
    let others = all.len() - selected.len();
    writeln!(
        out,
        "\ntest result: {result}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; {others} filtered out"
    )
    .unwrap();
    ExitCode::from(code)
}
