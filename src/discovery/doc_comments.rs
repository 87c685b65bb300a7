//! Whether a package can have doctests at all, by its sources. Asking rustdoc takes about as long as
//! `cargo check`, so it is asked only about packages whose sources have examples, or may have.

use std::path::{Path, PathBuf};

use crate::cargo::workspace::Package;

/// Whether rustdoc may find doctests in the libraries of this package. It reads the sources as text,
/// and in doubt the answer is yes. Not seen are docs that a macro of another crate writes.
pub fn may_have_doctests(package: &Package) -> bool {
    let libraries = package.cargo.targets.iter().filter(|target| target.doctest);
    let roots = libraries.map(|target| PathBuf::from(target.src_path.clone()));
    roots.into_iter().any(|root| root.parent().is_none_or(dir_may_have_some))
}

fn dir_may_have_some(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        let kind = entry.file_type().ok();
        // Links to folders may form a cycle, so they are not followed, and may lead to some.
        if kind.is_some_and(|kind| kind.is_symlink()) && path.is_dir() {
            return !is_output(&path);
        }
        if kind.is_some_and(|kind| kind.is_dir()) {
            return !is_output(&path) && dir_may_have_some(&path);
        }
        path.extension().is_some_and(|extension| extension == "rs")
            && path.is_file()
            && std::fs::read_to_string(&path).is_ok_and(|text| text_may_have_some(&text))
    })
}

/// A library may be in the directory of its package, beside what cargo builds.
fn is_output(dir: &Path) -> bool {
    dir.join("CACHEDIR.TAG").is_file() || dir.ends_with(".git")
}

fn text_may_have_some(text: &str) -> bool {
    let mut comment = DocComment::default();
    text.lines().any(|line| comment.has_code(line) || hides_docs(line.trim_start()))
}

/// Whether docs, or code with docs, come from somewhere else, or are in a form that is not read here.
fn hides_docs(line: &str) -> bool {
    line.starts_with("/**")
        || line.starts_with("/*!")
        || line.contains("#[path")
        || line.contains("include!(")
        || sets_doc(line)
}

/// `doc = …` in an attribute: `#[doc = include_str!("…")]`, or in a line of `#[cfg_attr(…)]`.
fn sets_doc(line: &str) -> bool {
    line.match_indices("doc").any(|(at, word)| {
        let before = line[..at].trim_end().chars().next_back();
        let after = line[at + word.len()..].trim_start();
        before.is_none_or(|c| matches!(c, '[' | '(' | ','))
            && after.starts_with('=')
            && !after.starts_with("==")
    })
}

/// The doc comment that the lines of a file are in.
#[derive(Default)]
struct DocComment {
    /// Whether its last line can be followed by an indented block of code: not within a paragraph.
    ends_paragraph: bool,
    is_fenced: bool,
}

impl DocComment {
    /// Whether a block of Rust begins with this line.
    fn has_code(&mut self, line: &str) -> bool {
        let line = line.trim_start();
        let Some(text) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
            *self = DocComment { ends_paragraph: true, is_fenced: false };
            return false;
        };
        if let Some(language) = fence(text.trim_start()) {
            // Only the beginning of a block has a language.
            let opens = !self.is_fenced || !language.is_empty();
            self.is_fenced = opens;
            self.ends_paragraph = true;
            return opens && is_rust(language);
        }
        let is_indented =
            text.starts_with("    ") || text.starts_with('\t') || text.starts_with(" \t");
        let is_empty = text.trim().is_empty();
        let is_code = is_indented && !is_empty && self.ends_paragraph && !self.is_fenced;
        self.ends_paragraph = is_empty;
        is_code
    }
}

/// What is written behind the fence of a block, if this is one.
fn fence(text: &str) -> Option<&str> {
    // It may stand in a quote, or behind the mark of a list.
    let is_mark = |c: char| c.is_ascii_digit() || c.is_whitespace() || ">-*+.)".contains(c);
    let text = text.trim_start_matches(is_mark);
    let is_fence = text.starts_with("```") || text.starts_with("~~~");
    is_fence.then(|| text.trim_start_matches(['`', '~']).trim())
}

/// Whether a block with these words is a test. One with any word of rustdoc's may be.
fn is_rust(words: &str) -> bool {
    const WORDS: [&str; 5] = ["rust", "should_panic", "no_run", "test_harness", "compile_fail"];
    let is_rusts = |word: &str| {
        WORDS.contains(&word)
            || ["ignore", "edition", "standalone", "E0"].iter().any(|start| word.starts_with(start))
    };
    let mut all = words.split([',', ' ', '\t']).filter(|word| !word.is_empty()).peekable();
    all.peek().is_none() || words.contains('{') || all.any(is_rusts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_links_lead_to_counts_too() {
        let dir = tempfile::tempdir().unwrap();
        let [sources, other] = ["src", "other"].map(|name| dir.path().join(name));
        for dir in [&sources, &other] {
            std::fs::create_dir(dir).unwrap();
        }
        std::fs::write(other.join("docs.rs"), "/// ```\n/// x\n/// ```\nfn f() {}").unwrap();
        let link = sources.join("lib.rs");
        assert!(!dir_may_have_some(&sources));
        std::os::unix::fs::symlink(other.join("nowhere.rs"), &link).unwrap();
        assert!(!dir_may_have_some(&sources));
        for to in [other.join("docs.rs"), other] {
            std::fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink(to, &link).unwrap();
            assert!(dir_may_have_some(&sources));
        }
    }

    #[test]
    fn what_rustdoc_may_test_is_found_and_nothing_else() {
        let table = [
            ("/// ```\n/// x\n/// ```", true),
            ("    //! ```rust,no_run", true),
            ("/// - a list\n///   ~~~ ignore-wasm32", true),
            ("/// > ```\n/// > x\n/// > ```", true),
            ("/// - ```\n///   x\n///   ```", true),
            ("/// 1. ```text\n///    x\n///    ```", false),
            ("/// ```text\n/// x\n/// ```", false),
            ("//! ```toml\n//! ```\n/// ```edition2024\n", true),
            ("/// ```text\n/// ```\n/// ```\n/// x\n/// ```", true),
            ("/// Text.\n///\n///     let x = 1;", true),
            ("/// Text,\n///     which goes on.", false),
            ("fn f() {}\n///\tlet x = 1;", true),
            ("/** docs */", true),
            ("let glob = \"src/**/*.rs\";", false),
            ("#![doc = include_str!(\"../README.md\")]", true),
            ("#![cfg_attr(\n    doctest,\n    doc = include_str!(\"../README.md\")\n)]", true),
            ("#![doc(html_root_url = \"https://docs.rs/x\")]", false),
            ("let doc = parse(text);", false),
            ("include!(concat!(env!(\"OUT_DIR\"), \"/bindings.rs\"));", true),
            ("// ```", false),
            ("/// no code", false),
        ];
        for (text, expected) in table {
            assert_eq!(text_may_have_some(text), expected, "{text}");
        }
    }
}
