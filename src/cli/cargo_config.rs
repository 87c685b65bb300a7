//! cargo's configuration, as far as it affects how tests are built and run: its files, its
//! variables, and `--config`.
//!
//! cargo has no stable command to print it, and crates that read the files know neither the command
//! line nor `include`. What cannot be read is ignored here: cargo reports it, and the build fails.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use cargo_platform::{Cfg, CfgExpr};

use super::args::CargoArgs;

#[derive(Debug, Default)]
pub struct CargoConfig {
    /// `[env]`, as it reaches the tests.
    pub env: BTreeMap<String, Variable>,
    /// The configured targets.
    pub targets: Vec<String>,
    pub target_dir: Option<PathBuf>,
    /// The configured compiler.
    pub rustc: Option<PathBuf>,
    /// The configured rustdoc.
    pub rustdoc: Option<PathBuf>,
    /// The compiler's flags, some of which set `cfg`s.
    pub rustflags: Vec<String>,
    /// By triple or `cfg(…)`.
    runners: BTreeMap<String, Runner>,
    /// Of `CARGO_TARGET_…_RUNNER`, by the triple as spelled there.
    runners_of_variables: BTreeMap<String, Vec<OsString>>,
    /// All files that may be read, whether they exist or not.
    pub files: BTreeSet<PathBuf>,
}

/// An entry of `[env]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub value: OsString,
    /// Whether it overrides the user's environment.
    pub force: bool,
}

#[derive(Debug)]
struct Runner {
    words: Vec<OsString>,
    is_command_lines: bool,
}

impl CargoConfig {
    /// Reads what cargo would read with these arguments in the current directory.
    pub fn load(args: &CargoArgs) -> CargoConfig {
        // cargo fails without a current directory.
        let here = std::env::current_dir().unwrap_or_default();
        let variables = std::env::vars_os();
        let variables =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        CargoConfig::read(&args.config, variables.collect(), &here)
    }

    fn read(options: &[String], variables: HashMap<String, OsString>, here: &Path) -> CargoConfig {
        let mut reader = Reader { here, files: BTreeSet::new() };
        let values = reader.all(options, home(&variables, here));
        let values = Values { values, variables, here };
        CargoConfig {
            env: values.env(),
            targets: values.words(&["build", "target"], "CARGO_BUILD_TARGET", Value::target),
            target_dir: values.target_dir(),
            rustc: values.tool("rustc"),
            rustdoc: values.tool("rustdoc"),
            rustflags: values.rustflags(),
            runners: values.runners(),
            runners_of_variables: values.runners_of_variables(),
            files: reader.files,
        }
    }

    /// The program that runs executables of this target, with its arguments; usually empty. `cfgs`
    /// of the target are requested only if a runner depends on them.
    pub fn runner(&self, triple: &str, cfgs: impl FnOnce() -> Vec<Cfg>) -> Vec<OsString> {
        let own = self.runners.get(triple);
        let variable = self.runners_of_variables.get(&as_in_variable(triple));
        match (own, variable) {
            (Some(own), None) => return own.words.clone(),
            (Some(own), Some(_)) if own.is_command_lines => return own.words.clone(),
            (_, Some(variable)) => return variable.clone(),
            (None, None) => {}
        }
        let by_cfg = || self.runners.iter().filter(|(key, _)| key.starts_with("cfg("));
        if by_cfg().next().is_none() {
            return Vec::new();
        }
        let cfgs = cfgs();
        // cargo rejects more than one that matches.
        let found = by_cfg().find(|(key, _)| CfgExpr::matches_key(key, &cfgs));
        found.map(|(_, runner)| runner.words.clone()).unwrap_or_default()
    }

    /// The value of a variable in the environment of a test.
    pub fn variable(&self, name: &str) -> Option<OsString> {
        let own = self.env.get(name);
        let forced = own.filter(|own| own.force).map(|own| own.value.clone());
        let users = || std::env::var_os(name);
        forced.or_else(users).or_else(|| own.map(|own| own.value.clone()))
    }
}

/// The directory of the user's own configuration.
fn home(variables: &HashMap<String, OsString>, here: &Path) -> Option<PathBuf> {
    match variables.get("CARGO_HOME").filter(|home| !home.is_empty()) {
        Some(home) => Some(here.join(home)),
        None => std::env::home_dir().map(|home| home.join(".cargo")),
    }
}

/// As spelled in names of variables: `x86_64-unknown-linux-gnu` is `X86_64_UNKNOWN_LINUX_GNU`.
fn as_in_variable(key: &str) -> String {
    key.replace(['-', '.'], "_").to_uppercase()
}

/// The origin of a value.
#[derive(Debug)]
struct Place {
    /// The directory that its paths are relative to.
    root: PathBuf,
    /// The command line overrides variables, and those override files.
    is_command_line: bool,
}

#[derive(Debug, Clone)]
enum Value {
    Table(BTreeMap<String, Value>, Rc<Place>),
    List(Vec<String>, Rc<Place>),
    Other(toml::Value, Rc<Place>),
}

impl Value {
    fn new(value: toml::Value, place: &Rc<Place>) -> Value {
        match value {
            toml::Value::Table(table) => {
                let entries = table.into_iter().map(|(key, value)| (key, Value::new(value, place)));
                Value::Table(entries.collect(), place.clone())
            }
            toml::Value::Array(all) => {
                let texts = all.iter().filter_map(toml::Value::as_str).map(str::to_owned);
                Value::List(texts.collect(), place.clone())
            }
            other => Value::Other(other, place.clone()),
        }
    }

    fn empty(place: Rc<Place>) -> Value {
        Value::Table(BTreeMap::new(), place)
    }

    /// Merges as cargo does: tables by key, keeping the origin of the first; lists by concatenation,
    /// higher precedence last; of other values the one of higher precedence stays.
    fn join(&mut self, other: Value, has_precedence: bool, key: &str) {
        match (self, other) {
            (Value::Table(own, _), Value::Table(others, _)) => {
                for (key, value) in others {
                    match own.get_mut(&key) {
                        Some(own) => own.join(value, has_precedence, &key),
                        None => drop(own.insert(key, value)),
                    }
                }
            }
            // A runner is a command, which cannot be concatenated.
            (Value::List(own, place), Value::List(others, other_place)) if key != "runner" => {
                match has_precedence {
                    true => {
                        own.extend(others);
                        *place = other_place;
                    }
                    false => drop(own.splice(0..0, others)),
                }
            }
            (own, other) if has_precedence => *own = other,
            _ => {}
        }
    }

    fn get(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, key| value.entries()?.get(*key))
    }

    fn entries(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Value::Table(entries, _) => Some(entries),
            _ => None,
        }
    }

    fn place(&self) -> &Place {
        match self {
            Value::Table(_, place) | Value::List(_, place) | Value::Other(_, place) => place,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Value::Other(value, _) => value.as_str(),
            _ => None,
        }
    }

    fn is_true(&self) -> bool {
        matches!(self, Value::Other(toml::Value::Boolean(true), _))
    }

    /// A list, or a string of words.
    fn words(&self) -> Vec<String> {
        match self {
            Value::List(words, _) => words.clone(),
            value => words_of(value.text().unwrap_or_default()),
        }
    }

    /// A triple, or the path of a target specification.
    fn target(text: &str, root: &Path) -> String {
        match text.ends_with(".json") {
            true => root.join(text).to_string_lossy().into_owned(),
            false => text.to_owned(),
        }
    }
}

fn words_of(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A program is searched for in `PATH` unless its name has a directory.
fn program(text: &str, root: &Path) -> PathBuf {
    match text.contains(std::path::is_separator) {
        true => root.join(text),
        false => PathBuf::from(text),
    }
}

/// The program and its arguments.
fn command(words: Vec<String>, root: &Path) -> Vec<OsString> {
    let mut words = words.into_iter();
    let program = words.next().map(|first| program(&first, root).into_os_string());
    program.into_iter().chain(words.map(OsString::from)).collect()
}

/// Reads and merges the files.
struct Reader<'r> {
    here: &'r Path,
    files: BTreeSet<PathBuf>,
}

impl Reader<'_> {
    /// Files from the nearest directory to the farthest, the user's own, then the command line.
    fn all(&mut self, options: &[String], home: Option<PathBuf>) -> Value {
        let here = Rc::new(Place { root: self.here.to_owned(), is_command_line: true });
        let mut values = Value::empty(here.clone());
        let dirs = self.here.ancestors().map(|dir| dir.join(".cargo"));
        let mut seen = HashSet::new();
        for dir in dirs.chain(home).filter(|dir| seen.insert(dir.clone())) {
            if let Some(file) = self.file_in(&dir).and_then(|path| self.file(&path, false)) {
                values.join(file, false, "");
            }
        }
        for option in options {
            let value = match self.here.join(option) {
                path if !option.is_empty() && path.exists() => self.file(&path, true),
                path => {
                    // A later run may find a file there.
                    self.files.insert(path);
                    option.parse::<toml::Table>().ok().map(|table| Value::new(table.into(), &here))
                }
            };
            if let Some(value) = value {
                values.join(value, true, "");
            }
        }
        values
    }

    /// Of the two possible names, the older one has precedence.
    fn file_in(&mut self, dir: &Path) -> Option<PathBuf> {
        let names = ["config", "config.toml"].map(|name| dir.join(name));
        self.files.extend(names.iter().cloned());
        names.into_iter().find(|path| path.exists())
    }

    fn file(&mut self, path: &Path, is_command_line: bool) -> Option<Value> {
        self.file_below(path, is_command_line, &mut Vec::new())
    }

    /// `above` are the files that include it, directly or not.
    fn file_below(
        &mut self,
        path: &Path,
        is_command_line: bool,
        above: &mut Vec<PathBuf>,
    ) -> Option<Value> {
        self.files.insert(path.to_owned());
        if above.iter().any(|above| above == path) {
            return None;
        }
        let mut table: toml::Table = std::fs::read_to_string(path).ok()?.parse().ok()?;
        let dir = path.parent()?;
        // For `.cargo/config.toml` this is the parent of `.cargo`, and likewise for all others.
        let root = dir.parent().unwrap_or(dir).to_owned();
        let place = Rc::new(Place { root, is_command_line });
        let mut values = Value::empty(place.clone());
        above.push(path.to_owned());
        for included in table.remove("include").map(included).unwrap_or_default() {
            if let Some(file) = self.file_below(&dir.join(included), is_command_line, above) {
                values.join(file, true, "");
            }
        }
        above.pop();
        values.join(Value::new(table.into(), &place), true, "");
        Some(values)
    }
}

/// The paths of an `include`: a string, a table with a `path`, or a list of these.
fn included(value: toml::Value) -> Vec<String> {
    match value {
        toml::Value::String(path) => vec![path],
        toml::Value::Array(all) => all.into_iter().flat_map(included).collect(),
        toml::Value::Table(mut table) => table.remove("path").map(included).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The merged values, and the variables that may override them.
struct Values<'v> {
    values: Value,
    variables: HashMap<String, OsString>,
    here: &'v Path,
}

impl Values<'_> {
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name)?.to_str()
    }

    /// The value, unless a variable overrides it.
    fn value(&self, path: &[&str], variable: &str) -> Option<&Value> {
        let value = self.values.get(path)?;
        let loses = self.variables.contains_key(variable) && !value.place().is_command_line;
        (!loses).then_some(value)
    }

    fn words(
        &self,
        path: &[&str],
        variable: &str,
        word: impl Fn(&str, &Path) -> String,
    ) -> Vec<String> {
        let (words, root) = match self.value(path, variable) {
            Some(value) => (value.words(), &*value.place().root),
            None => (words_of(self.variable(variable).unwrap_or_default()), self.here),
        };
        words.iter().map(|text| word(text, root)).collect()
    }

    fn target_dir(&self) -> Option<PathBuf> {
        let named = |name: &str| self.variables.get(name).filter(|dir| !dir.is_empty());
        if let Some(dir) = named("CARGO_TARGET_DIR") {
            return Some(self.here.join(dir));
        }
        match self.value(&["build", "target-dir"], "CARGO_BUILD_TARGET_DIR") {
            Some(value) => Some(value.place().root.join(value.text()?)),
            None => named("CARGO_BUILD_TARGET_DIR").map(|dir| self.here.join(dir)),
        }
    }

    /// The configured `rustc` or `rustdoc`.
    fn tool(&self, tool: &str) -> Option<PathBuf> {
        let named = |name: &str| Some(program(self.variable(name)?, self.here));
        let variable = tool.to_uppercase();
        if let Some(path) = named(&variable) {
            return Some(path);
        }
        let variable = format!("CARGO_BUILD_{variable}");
        match self.value(&["build", tool], &variable) {
            Some(value) => Some(program(value.text()?, &value.place().root)),
            None => named(&variable),
        }
    }

    /// The flags for all targets. Those of a single target are ignored: they rarely set a `cfg` that
    /// selects a runner.
    fn rustflags(&self) -> Vec<String> {
        match (self.variable("CARGO_ENCODED_RUSTFLAGS"), self.variable("RUSTFLAGS")) {
            (Some(""), _) => Vec::new(),
            (Some(encoded), _) => encoded.split('\x1f').map(str::to_owned).collect(),
            (None, Some(flags)) => words_of(flags),
            (None, None) => {
                let as_it_is = |text: &str, _: &Path| text.to_owned();
                self.words(&["build", "rustflags"], "CARGO_BUILD_RUSTFLAGS", as_it_is)
            }
        }
    }

    fn runners(&self) -> BTreeMap<String, Runner> {
        let tables = self.values.get(&["target"]).and_then(Value::entries).into_iter().flatten();
        let runner = |(key, table): (&String, &Value)| {
            let value = table.get(&["runner"])?;
            let Place { root, is_command_line } = value.place();
            let words = command(value.words(), root);
            Some((key.clone(), Runner { words, is_command_lines: *is_command_line }))
        };
        tables.filter_map(runner).collect()
    }

    fn runners_of_variables(&self) -> BTreeMap<String, Vec<OsString>> {
        let runner = |(name, value): (&String, &OsString)| {
            let triple = name.strip_prefix("CARGO_TARGET_")?.strip_suffix("_RUNNER")?;
            Some((triple.to_owned(), command(words_of(value.to_str()?), self.here)))
        };
        self.variables.iter().filter_map(runner).collect()
    }

    fn env(&self) -> BTreeMap<String, Variable> {
        let entries = self.values.get(&["env"]).and_then(Value::entries).into_iter().flatten();
        let variable = |(name, value): (&String, &Value)| {
            let of_variable = format!("CARGO_ENV_{}", as_in_variable(name));
            let other = self.variables.get(&of_variable).filter(|_| !value.place().is_command_line);
            let (value, force) = match (value, other) {
                (Value::Table(..), _) => of_table(value)?,
                (_, Some(other)) => (other.clone(), false),
                (_, None) => (value.text()?.into(), false),
            };
            Some((name.clone(), Variable { value, force }))
        };
        entries.filter_map(variable).collect()
    }
}

/// `{ value = "…", relative = true, force = true }`
fn of_table(table: &Value) -> Option<(OsString, bool)> {
    let is_set = |key| table.get(&[key]).is_some_and(Value::is_true);
    let value = table.get(&["value"])?.text()?;
    let value = match is_set("relative") {
        true => table.place().root.join(value).into_os_string(),
        false => OsStr::new(value).to_owned(),
    };
    Some((value, is_set("force")))
}

#[cfg(test)]
mod tests;
