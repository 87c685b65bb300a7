//! The layers of `src/`: imports go down only, and never in a circle.
//!
//! The order of the folders is the list in the first lines of `src/main.rs`, from the bottom to the
//! top. Whatever is read here is read from the tokens of the sources, so that comments and strings
//! do not count, and neither does what is compiled for unit tests alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// What one file imports from another, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    from: PathBuf,
    line: usize,
    path: String,
    to: PathBuf,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Import { from, line, path, to } = self;
        write!(f, "{}:{line}: `{path}` is in {}", from.display(), to.display())
    }
}

/// The modules of one crate: its files by their module paths.
struct Sources {
    root: PathBuf,
    files: BTreeMap<Vec<String>, PathBuf>,
}

impl Sources {
    /// `root` is the crate's first file below `src`, `belongs` tells which other files it has.
    fn read(src: &Path, root: &str, belongs: impl Fn(&Path) -> bool) -> Sources {
        let mut found = Vec::new();
        rust_files(src, &mut found);
        let inside = found.iter().filter_map(|file| file.strip_prefix(src).ok());
        let modules = inside.filter(|file| belongs(file) && !is_for_tests(file));
        let mut files: BTreeMap<_, _> =
            modules.map(|file| (module_of(file), file.to_owned())).collect();
        files.insert(Vec::new(), root.into());
        Sources { root: src.to_owned(), files }
    }

    /// A file by its path in the repository.
    fn shown(&self, file: &Path) -> PathBuf {
        let path = self.root.join(file);
        path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_owned()
    }

    /// All files but those of tests, each with its path in the repository and its text.
    fn texts(&self) -> impl Iterator<Item = (PathBuf, String)> {
        let text = |file: &PathBuf| fs::read_to_string(self.root.join(file)).unwrap();
        self.files.values().map(move |file| (self.shown(file), text(file)))
    }

    fn imports(&self) -> BTreeSet<Import> {
        let mut imports = BTreeSet::new();
        for (module, file) in &self.files {
            let text = fs::read_to_string(self.root.join(file)).unwrap();
            let tokens = TokenStream::from_str(&text).unwrap();
            let mut found = Vec::new();
            paths_in(tokens, module, &mut found);
            for Found { path, line } in found {
                let target = (0..=path.len()).rev().find_map(|end| self.files.get(&path[..end]));
                // The crate's own root declares modules and is imported by none.
                let target =
                    target.filter(|target| *target != file && **target != self.files[&vec![]]);
                imports.extend(target.map(|target| Import {
                    from: self.shown(file),
                    line,
                    path: path.join("::"),
                    to: self.shown(target),
                }));
            }
        }
        imports
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// `tests.rs`, what stands in a folder `tests`, and models that only tests play.
fn is_for_tests(file: &Path) -> bool {
    file.iter().any(|part| part == "tests" || part == "tests.rs" || part == "model.rs")
}

/// `plan/schedule.rs` is `plan::schedule`, `plan/mod.rs` is `plan`.
fn module_of(file: &Path) -> Vec<String> {
    let parts = file.with_extension("");
    let parts = parts.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| part != "mod").collect()
}

/// A path that leads to a module or to something in it, from the root of the crate on.
struct Found {
    path: Vec<String>,
    line: usize,
}

/// All paths that begin with `crate`, `super` or `self`, and what `use` takes from child modules.
fn paths_in(tokens: TokenStream, module: &[String], found: &mut Vec<Found>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Punct(sign) if sign.as_char() == '#' && is_test_only(&tokens[at..]) => {
                at = end_of_attributed(&tokens, at);
            }
            TokenTree::Ident(word) if word == "mod" => {
                if let [TokenTree::Ident(name), TokenTree::Group(body), ..] = &tokens[at + 1..] {
                    let inner = [module, &[name.to_string()]].concat();
                    paths_in(body.stream(), &inner, found);
                    at += 2;
                }
            }
            TokenTree::Ident(word) if word == "use" => {
                let end = (at..tokens.len()).find(|end| is_punct(&tokens[*end], ';'));
                let end = end.unwrap_or(tokens.len());
                use_tree(&tokens[at + 1..end], Vec::new(), module, found);
                at = end;
            }
            TokenTree::Ident(word) if *word == "crate" || *word == "super" || *word == "self" => {
                let (path, next) = path_at(&tokens, at);
                if path.len() > 1 {
                    let line = word.span().start().line;
                    found.push(Found { path: absolute(&path, module), line });
                }
                at = next - 1;
            }
            TokenTree::Group(group) => paths_in(group.stream(), module, found),
            _ => {}
        }
        at += 1;
    }
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// `#[cfg(test)]`
fn is_test_only(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [_, TokenTree::Group(group), ..]
        if group.stream().to_string().replace(' ', "") == "cfg(test)")
}

/// Where the item ends that the attribute at this place belongs to: its body, or its semicolon.
fn end_of_attributed(tokens: &[TokenTree], attribute: usize) -> usize {
    let behind = attribute + 2;
    let length = tokens[behind..].iter().position(ends_item);
    length.map_or(tokens.len(), |length| behind + length)
}

fn ends_item(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
        || is_punct(token, ';')
}

/// The names from `at` on that are joined by `::`, and what comes behind them.
fn path_at(tokens: &[TokenTree], at: usize) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    let mut at = at;
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        path.push(name.to_string());
        at += 1;
        match (tokens.get(at), tokens.get(at + 1)) {
            (Some(first), Some(second)) if is_punct(first, ':') && is_punct(second, ':') => at += 2,
            _ => break,
        }
    }
    (path, at)
}

/// What a `use` takes, each as a path of its own.
fn use_tree(tokens: &[TokenTree], before: Vec<String>, module: &[String], found: &mut Vec<Found>) {
    let Some(first) = tokens.first() else { return };
    let line = first.span().start().line;
    let (names, next) = path_at(tokens, 0);
    let path = [before, names].concat();
    match tokens.get(next) {
        Some(TokenTree::Group(group)) => {
            for tree in trees_of(group) {
                use_tree(&tree, path.clone(), module, found);
            }
        }
        _ => found.push(Found { path: absolute(&path, module), line }),
    }
}

/// What stands between the commas of `{a, b::{c, d}}`.
fn trees_of(group: &Group) -> Vec<Vec<TokenTree>> {
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    tokens.split(|token| is_punct(token, ',')).map(<[TokenTree]>::to_vec).collect()
}

/// A path as written in `module`, from the crate's root on. One that begins with another name is a
/// child module's, or a foreign crate's, which no file stands for.
fn absolute(path: &[String], module: &[String]) -> Vec<String> {
    let up = path.iter().take_while(|name| *name == "super").count();
    let begins_here = path.first().is_some_and(|name| name == "self");
    match path.first().map(String::as_str) {
        Some("crate") => path[1..].to_vec(),
        Some("super") => [&module[..module.len().saturating_sub(up)], &path[up..]].concat(),
        _ => [module, &path[usize::from(begins_here)..]].concat(),
    }
}

/// The folders and single files of `src`, from the bottom to the top, as `src/main.rs` lists them.
fn layers(src: &Path) -> Vec<String> {
    let text = fs::read_to_string(src.join("main.rs")).unwrap();
    let list = text.lines().skip_while(|line| *line != "//! ```text").skip(1);
    let list = list.take_while(|line| *line != "//! ```");
    let first_word = |line: &str| line.strip_prefix("//! ")?.split(' ').next().map(str::to_owned);
    list.filter_map(first_word).filter(|word| !word.is_empty()).collect()
}

/// `plan/` for what stands in that folder, `state` for `state.rs`.
fn layer_of(file: &Path) -> String {
    let first = file.strip_prefix("src").unwrap_or(file).iter().next().unwrap().to_string_lossy();
    first.strip_suffix(".rs").map_or_else(|| format!("{first}/"), str::to_owned)
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The three crates whose sources stand in `src`: the command, the library and the agent.
fn crates() -> [Sources; 3] {
    let src = src();
    let is_library = |file: &Path| file.starts_with("library") || file == Path::new("lib.rs");
    let agent = src.join("agent");
    [
        Sources::read(&src, "main.rs", |file| !is_library(file) && !file.starts_with("agent")),
        Sources::read(&src, "lib.rs", |file| file.starts_with("library")),
        Sources::read(&agent, "agent.rs", |file| file != Path::new("agent.rs")),
    ]
}

fn join(lines: impl IntoIterator<Item = impl fmt::Display>) -> String {
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_folder_has_its_place_in_the_list() {
    let layers = layers(&src());
    let files = &crates()[0].files;
    let there: BTreeSet<String> =
        files.values().map(|file| layer_of(file)).filter(|layer| layer != "main").collect();
    assert_eq!(layers.iter().cloned().collect::<BTreeSet<_>>(), there, "the list in src/main.rs");
    assert_eq!(layers.len(), there.len(), "one of them is listed twice");
}

#[test]
fn imports_go_down() {
    let layers = layers(&src());
    let floor = |file: &Path| layers.iter().position(|layer| *layer == layer_of(file));
    let goes_up = |import: &Import| match (floor(&import.from), floor(&import.to)) {
        (Some(from), Some(to)) => to > from,
        // `main.rs` is above all.
        (from, to) => from.is_some() && to.is_none(),
    };
    let imports = crates()[0].imports();
    assert!(imports.len() > 100, "the imports were not found");
    let up: Vec<Import> = imports.into_iter().filter(goes_up).collect();
    assert!(
        up.is_empty(),
        "a file imports only from its own folder and from those before it in the list of \
         src/main.rs:\n{}",
        join(up)
    );
}

#[test]
fn no_files_import_each_other() {
    for sources in crates() {
        let imports = sources.imports();
        let mut next: BTreeMap<&Path, Vec<&Import>> = BTreeMap::new();
        for import in &imports {
            next.entry(&import.from).or_default().push(import);
        }
        if let Some(circle) = circle(&next) {
            panic!("these files import each other in a circle:\n{}", join(circle));
        }
    }
}

/// Goes as deep as it can from every file, and comes upon a circle if there is one.
fn circle<'i>(next: &BTreeMap<&'i Path, Vec<&'i Import>>) -> Option<Vec<&'i Import>> {
    fn visit<'i>(
        file: &'i Path,
        next: &BTreeMap<&'i Path, Vec<&'i Import>>,
        way: &mut Vec<&'i Import>,
        done: &mut BTreeSet<&'i Path>,
    ) -> Option<Vec<&'i Import>> {
        for import in next.get(file).into_iter().flatten() {
            way.push(import);
            if let Some(begin) = way.iter().position(|earlier| earlier.from == import.to) {
                return Some(way[begin..].to_vec());
            }
            if !done.contains(&*import.to) {
                let found = visit(&import.to, next, way, done);
                if found.is_some() {
                    return found;
                }
            }
            way.pop();
        }
        done.insert(file);
        None
    }
    let mut done = BTreeSet::new();
    next.keys().find_map(|file| visit(file, next, &mut Vec::new(), &mut done))
}

/// A `mod.rs` is a folder's table of contents: what it is for, and its files.
#[test]
fn a_folders_first_file_declares_and_defines_nothing() {
    let mut wrong = Vec::new();
    for (file, text) in crates().iter().flat_map(Sources::texts) {
        if file.file_name().is_none_or(|name| name != "mod.rs") {
            continue;
        }
        if !text.starts_with("//! ") {
            wrong.push(format!("{}:1: does not say what the folder is for", file.display()));
        }
        let declares = |line: &&str| {
            let line = line.trim_start_matches("pub ");
            line.starts_with("//") || line.starts_with("mod ") || line.starts_with("#[")
        };
        let rest = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !declares(line));
        let defines = |(at, line)| format!("{}:{}: {line}", file.display(), at + 1);
        wrong.extend(rest.take(1).map(defines));
    }
    assert!(
        wrong.is_empty(),
        "a mod.rs says what its folder is for and declares its files:\n{}",
        join(wrong)
    );
}

/// The functions that are longer than `MOST_LINES`. Each is one flat match with a few lines for each
/// kind of frame or warning, which would be harder to look up in if it were distributed.
const LONG_FUNCTIONS: [(&str, &str); 3] = [
    ("src/frames.rs", "read"),
    ("src/protocol/agent.rs", "take"),
    ("src/report/messages.rs", "warning"),
];

/// How many lines a function has at most.
const MOST_LINES: usize = 60;

/// A function that is longer than a screen does more than one thing.
#[test]
fn no_function_is_long() {
    let mut long: Vec<LongFunction> = Vec::new();
    for (file, text) in crates().iter().flat_map(Sources::texts) {
        long_functions(TokenStream::from_str(&text).unwrap(), &file, &mut long);
    }
    let allowed = |(file, name): (&str, &str)| {
        let at = long.iter().position(|f| f.file == Path::new(file) && f.name == name);
        at.unwrap_or_else(|| panic!("`{name}` in {file} is no longer long: take it off the list"))
    };
    let allowed = LONG_FUNCTIONS.map(allowed);
    let others = long.iter().enumerate().filter(|(at, _)| !allowed.contains(at));
    let others: Vec<&LongFunction> = others.map(|(_, function)| function).collect();
    assert!(others.is_empty(), "a function has no more than {MOST_LINES} lines:\n{}", join(others));
}

struct LongFunction {
    file: PathBuf,
    line: usize,
    name: String,
    lines: usize,
}

impl fmt::Display for LongFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LongFunction { file, line, name, lines } = self;
        write!(f, "{}:{line}: `{name}` has {lines} lines", file.display())
    }
}

/// The functions in these tokens, and in what is inside of them, that are too long.
fn long_functions(tokens: TokenStream, file: &Path, found: &mut Vec<LongFunction>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Punct(sign) if sign.as_char() == '#' && is_test_only(&tokens[at..]) => {
                at = end_of_attributed(&tokens, at);
            }
            TokenTree::Ident(word) if word == "fn" => {
                let body = tokens[at..].iter().find(|token| ends_item(token));
                // A type `fn(u32)` has no name, and a declaration no body.
                if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                    (tokens.get(at + 1), body)
                {
                    let line = word.span().start().line;
                    let lines = body.span_close().end().line - line + 1;
                    if lines > MOST_LINES {
                        let (file, name) = (file.to_owned(), name.to_string());
                        found.push(LongFunction { file, line, name, lines });
                    }
                }
            }
            TokenTree::Group(group) => long_functions(group.stream(), file, found),
            _ => {}
        }
        at += 1;
    }
}

/// A file that does not fit on a few screens has more than one subject.
#[test]
fn no_file_is_long() {
    const MOST: usize = 500;
    let mut long = Vec::new();
    for (file, text) in crates().iter().flat_map(Sources::texts) {
        let lines = text.lines().count();
        if lines > MOST {
            long.push(format!("{}: {lines} lines", file.display()));
        }
    }
    assert!(long.is_empty(), "a file has no more than {MOST} lines:\n{}", join(long));
}
