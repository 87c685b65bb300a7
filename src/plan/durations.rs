//! How long tests take, in a file that is kept under version control or in a cache of CI. Every
//! machine reads the same one, so that all come to the same shards.
//!
//! It is small and changes rarely: short tests have one line for each binary, and a value stays until
//! a test takes clearly longer or less.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::state;

const HEAD: &str = "\
# How long tests take, in seconds: `cargo partest --shard` divides them by it. Written by `cargo partest
# --durations-file` and `cargo partest merge --durations-file`, for version control or a cache: a line
# changes only when a test takes clearly longer or less. \"*\" stands for all tests that are not listed,
# each of which is short.

";

/// A test that takes this long gets a line.
const LISTED: Duration = Duration::from_millis(15);
/// A line is removed only when its test takes less than this, so that none comes and goes.
const KEPT: Duration = Duration::from_millis(5);
/// What a test takes in any case: its start, and the time until the next one.
const LEAST: Duration = Duration::from_millis(1);
/// A test takes less: a file that says otherwise is wrong.
const LONGEST: f64 = 30.0 * 24.0 * 3600.0;

/// The name of the tests of a binary that are not listed.
const OTHERS: &str = "*";

/// By binary (`web/test/api`) and test, in seconds.
type Binaries = BTreeMap<String, BTreeMap<String, f64>>;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durations {
    binaries: Binaries,
}

/// What one run has measured of a binary.
#[derive(Debug, Default)]
pub struct Measured {
    /// Of tests that passed.
    pub took: BTreeMap<String, Duration>,
    /// All tests of the binary, if they are known: lines of others are removed.
    pub all: Option<BTreeSet<String>>,
}

impl Durations {
    /// None where there is no file yet.
    pub fn load(path: &Path) -> Result<Option<Durations>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
        };
        Durations::read(&text).map(Some).map_err(|why| {
            Error::usage(format!("`{}` is not a file of durations: {why}", path.display()))
        })
    }

    fn read(text: &str) -> Result<Durations, String> {
        let binaries: Binaries = toml::from_str(text).map_err(|error| error.to_string())?;
        for (binary, tests) in &binaries {
            let is_wrong = |(_, seconds): &(&String, &f64)| !(0.0..LONGEST).contains(*seconds);
            if let Some((test, seconds)) = tests.iter().find(is_wrong) {
                return Err(format!("`{test}` of `{binary}` cannot take {seconds} seconds"));
            }
        }
        Ok(Durations { binaries })
    }

    /// How long a test takes. One of a binary that is not there takes as long as the mean.
    pub fn expected(&self, binary: &str, test: &str) -> Duration {
        let of_binary = self.binaries.get(binary);
        let seconds = of_binary.and_then(|tests| tests.get(test).or_else(|| tests.get(OTHERS)));
        let seconds = match (seconds, of_binary) {
            (Some(seconds), _) => *seconds,
            (None, Some(_)) => KEPT.as_secs_f64(),
            (None, None) => self.mean(),
        };
        Duration::from_secs_f64(seconds).max(LEAST)
    }

    fn mean(&self) -> f64 {
        let all = || self.binaries.values().flat_map(BTreeMap::values);
        all().sum::<f64>() / all().count().max(1) as f64
    }

    /// Takes what a run has measured, by binary.
    pub fn update(&mut self, news: BTreeMap<String, Measured>) {
        for (binary, Measured { took, all }) in news {
            let tests = self.binaries.entry(binary).or_default();
            if let Some(all) = all {
                tests.retain(|test, _| test == OTHERS || all.contains(test));
            }
            let mut short = Vec::new();
            for (test, took) in took {
                let least = if tests.contains_key(&test) { KEPT } else { LISTED };
                if took < least {
                    tests.remove(&test);
                    short.push(took.as_secs_f64());
                } else if tests.get(&test).is_none_or(|known| is_another(*known, took)) {
                    tests.insert(test, rounded(took.as_secs_f64(), 2));
                }
            }
            if !short.is_empty() {
                let mean =
                    (short.iter().sum::<f64>() / short.len() as f64).max(LEAST.as_secs_f64());
                let stays = |known: &f64| (*known / 2.0..=*known * 2.0).contains(&mean);
                if !tests.get(OTHERS).is_some_and(stays) {
                    tests.insert(OTHERS.to_owned(), rounded(mean, 1));
                }
            }
        }
        self.binaries.retain(|_, tests| !tests.is_empty());
    }

    /// Writes the file whole or not at all, and only if it changes.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let text = toml::to_string(&self.binaries).map_err(std::io::Error::other)?;
        let text = format!("{HEAD}{text}");
        if std::fs::read_to_string(path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        state::replace_file(path, state::ORDINARY, |file| file.write_all(text.as_bytes()))
    }
}

/// Whether a test takes clearly longer or less than is known.
fn is_another(known: f64, took: Duration) -> bool {
    const SHARE: f64 = 0.25;
    const NOISE: f64 = 0.01;
    (took.as_secs_f64() - known).abs() > NOISE.max(known * SHARE)
}

/// With so many digits.
fn rounded(value: f64, digits: usize) -> f64 {
    // What is printed can be read.
    format!("{value:.*e}", digits - 1).parse().unwrap_or(value)
}

/// Updates the file at this path.
pub fn update_file(path: &Path, news: BTreeMap<String, Measured>) -> Result<()> {
    let mut durations = Durations::load(path)?.unwrap_or_default();
    durations.update(news);
    let failed = |source| Error::Durations { path: PathBuf::from(path), source };
    durations.save(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(tests: &[(&str, u64)], all: Option<&[&str]>) -> BTreeMap<String, Measured> {
        let took = tests.iter().map(|(test, ms)| ((*test).into(), Duration::from_millis(*ms)));
        let all = all.map(|all| all.iter().map(|test| (*test).to_owned()).collect());
        [("web/lib/web".to_owned(), Measured { took: took.collect(), all })].into()
    }

    fn text(durations: &Durations) -> String {
        toml::to_string(&durations.binaries).unwrap()
    }

    #[test]
    fn long_tests_have_a_line_and_all_short_ones_have_one() {
        let mut durations = Durations::default();
        durations.update(measured(&[("a::long", 1234), ("b", 2), ("c", 4), ("d", 60_000)], None));
        let expected = "[\"web/lib/web\"]\n\"*\" = 0.003\n\"a::long\" = 1.2\nd = 60.0\n";
        assert_eq!(text(&durations), expected);
        assert_eq!(Durations::read(expected), Ok(durations.clone()));
        let expected = |binary, test| durations.expected(binary, test).as_millis();
        assert_eq!(expected("web/lib/web", "a::long"), 1200);
        assert_eq!(expected("web/lib/web", "new"), 3);
        assert_eq!(expected("other", "new"), 20_401, "the mean");
    }

    #[test]
    fn noise_changes_no_line() {
        let mut durations = Durations::default();
        durations.update(measured(&[("a", 1000), ("b", 4), ("c", 16)], None));
        let before = text(&durations);
        for (a, b, c) in [(1200, 3, 25), (800, 6, 7), (1249, 8, 6), (1000, 2, 15)] {
            durations.update(measured(&[("a", a), ("b", b), ("c", c)], None));
            assert_eq!(text(&durations), before, "{a} {b} {c}");
        }
        durations.update(measured(&[("a", 1300), ("b", 14), ("c", 4)], None));
        assert_eq!(text(&durations), "[\"web/lib/web\"]\n\"*\" = 0.009\na = 1.3\n");
    }

    #[test]
    fn tests_that_are_gone_lose_their_line_where_all_are_known() {
        let mut durations = Durations::default();
        durations.update(measured(&[("a", 100), ("b", 200)], None));
        durations.update(measured(&[("b", 200)], None));
        assert!(text(&durations).contains("a = 0.1"), "it may have been filtered out");
        durations.update(measured(&[], Some(&["b"])));
        assert_eq!(text(&durations), "[\"web/lib/web\"]\nb = 0.2\n");
        durations.update(measured(&[], Some(&[])));
        assert_eq!(text(&durations), "");
    }

    #[test]
    fn a_wrong_file_is_told_and_none_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/durations.toml");
        assert_eq!(Durations::load(&path).unwrap(), None);
        update_file(&path, measured(&[("a", 100)], None)).unwrap();
        assert!(Durations::load(&path).unwrap().is_some());
        for (text, why) in [
            ("[a]\nb = -1.0\n", "cannot take -1 seconds"),
            ("[a]\nb = nan\n", "cannot take NaN seconds"),
            ("[a]\nb = 1e300\n", "cannot take"),
            ("[a]\nb = \"x\"\n", "line 2"),
            ("a", "line 1"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Durations::load(&path).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("durations.toml"), "{error}");
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
