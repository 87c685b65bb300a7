//! Whether a package can have doctests at all, by its sources. Asking rustdoc takes about as long as
//! `cargo check`, so it is asked only about packages whose sources have examples, or may have.

use std::path::Path;

use super::doc_text::{DocText, Found};
use crate::cargo::workspace::Package;

/// Whether rustdoc may find doctests in the libraries of this package. It reads the sources as text,
/// and in doubt the answer is yes. Not seen are docs that a macro of another crate writes.
pub fn may_have_doctests(package: &Package) -> bool {
    let libraries = package.cargo.targets.iter().filter(|target| target.doctest);
    libraries.map(|target| target.src_path.as_std_path()).any(library_may_have_some)
}

fn library_may_have_some(root: &Path) -> bool {
    let mut sources = Sources::default();
    // Of other names, only that of the root is known to be one of a source.
    !is_source(root) || root.parent().is_none_or(|dir| sources.dir_may_have_some(dir))
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// A library may be in the directory of its package, beside what cargo builds.
fn is_output(dir: &Path) -> bool {
    dir.join("CACHEDIR.TAG").is_file() || dir.ends_with(".git")
}

/// The sources of a library. Docs of one item may stand in two of them: those of a module are before
/// its declaration, and in its file.
#[derive(Default)]
struct Sources {
    /// Whether a doc comment has text directly behind its slashes: it then counts as if all had.
    has_flush: bool,
    /// Whether there is what would be code then.
    has_code_if_flush: bool,
}

impl Sources {
    fn dir_may_have_some(&mut self, dir: &Path) -> bool {
        let Ok(entries) = std::fs::read_dir(dir) else { return true };
        entries.flatten().any(|entry| {
            let path = entry.path();
            let kind = entry.file_type().ok();
            // Links to folders may form a cycle, so they are not followed, and may lead to some.
            if kind.is_some_and(|kind| kind.is_symlink()) && path.is_dir() {
                return !is_output(&path);
            }
            if kind.is_some_and(|kind| kind.is_dir()) {
                return !is_output(&path) && self.dir_may_have_some(&path);
            }
            is_source(&path)
                && path.is_file()
                && std::fs::read_to_string(&path).is_ok_and(|text| self.text_may_have_some(&text))
        })
    }

    fn text_may_have_some(&mut self, text: &str) -> bool {
        self.has_code(text) || hides_docs(text) || (self.has_flush && self.has_code_if_flush)
    }

    fn has_code(&mut self, text: &str) -> bool {
        let mut docs = DocText::default();
        text.lines().any(|line| {
            let line = line.trim_start();
            if let Some(text) = doc_comment(line) {
                return self.is_code(&mut docs, text);
            }
            docs = DocText::default();
            // Most lines are told from those with comments by this letter.
            let may_have_docs = line.contains('/') && !line.starts_with("//");
            // What looks like a comment behind code may be text in quotes, which no other continues.
            let is_code = |text| self.is_code(&mut DocText::default(), text);
            may_have_docs && (has_block_docs(line) || doc_comments_within(line).any(is_code))
        })
    }

    fn is_code(&mut self, docs: &mut DocText, text: &str) -> bool {
        self.has_flush |= text.starts_with(|c: char| !c.is_whitespace());
        let found = docs.read(text);
        self.has_code_if_flush |= found == Found::CodeIfFlush;
        found == Found::Code
    }
}

/// The text of a line that begins with a doc comment.
fn doc_comment(line: &str) -> Option<&str> {
    let outer = || line.strip_prefix("///").filter(|text| !text.starts_with('/'));
    outer().or_else(|| line.strip_prefix("//!"))
}

/// The text of whatever may be a doc comment that ends a line of code.
fn doc_comments_within(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices('/').filter_map(|(at, _)| doc_comment(&line[at..]))
}

/// Docs between `/**` or `/*!` and `*/` are rare, and not read.
fn has_block_docs(line: &str) -> bool {
    line.match_indices("/*").any(|(at, mark)| {
        let behind = &line[at + mark.len()..];
        // `/**/` and `/***` are other comments, and so may be what is between quotes.
        let is_outer = behind.starts_with('*') && !behind[1..].starts_with(['*', '/']);
        is_outer || behind.starts_with('!')
    })
}

/// Whether docs, or code with docs, come from somewhere else, or are in an attribute, which is not read.
fn hides_docs(text: &str) -> bool {
    sets(text, "doc") || sets(text, "path") || includes(text)
}

/// Whether there is an attribute with this key: `#[doc = include_str!("…")]`, or within
/// `#[cfg_attr(…)]`, over however many lines.
fn sets(text: &str, key: &str) -> bool {
    text.match_indices(key).any(|(at, key)| {
        let behind = text[at + key.len()..].trim_start();
        let value = behind.strip_prefix('=').map(str::trim_start);
        (begins_comment(behind) || value.is_some_and(is_literal_or_macro))
            && may_be_in_attribute(&text[..at])
    })
}

/// Whether the value of a key may be docs or a path, and not that of any other expression.
fn is_literal_or_macro(value: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let behind = value.trim_start_matches(is_name);
    let is_raw = value.starts_with('r') && behind.starts_with(['"', '#']);
    let is_macro = behind.len() < value.len()
        && behind.trim_start().strip_prefix('!').is_some_and(|behind| !behind.starts_with('='));
    // `$` begins what a macro is given.
    value.starts_with(['"', '$']) || is_raw || is_macro || begins_comment(value)
}

fn begins_comment(code: &str) -> bool {
    code.starts_with("//") || code.starts_with("/*")
}

/// Whether a key may stand behind this.
fn may_be_in_attribute(before: &str) -> bool {
    let code = before.trim_end();
    // `#` is that of `r#doc`. There may be a comment before it, too.
    let last_line = code.rsplit('\n').next().unwrap_or_default();
    code.ends_with(['[', '(', ',', '{', '#'])
        || code.ends_with("*/")
        || (before[code.len()..].contains('\n') && last_line.contains("//"))
}

/// Whether another file is included, in whichever brackets and by whichever name.
fn includes(text: &str) -> bool {
    text.match_indices("include").any(|(at, word)| {
        let behind = text[at + word.len()..].trim_start();
        (behind.starts_with('!') && !behind.starts_with("!=")) || behind.starts_with("as ")
    })
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
        let link = sources.join("link.rs");
        assert!(!library_may_have_some(&sources.join("lib.rs")));
        std::os::unix::fs::symlink(other.join("nowhere.rs"), &link).unwrap();
        assert!(!library_may_have_some(&sources.join("lib.rs")));
        for to in [other.join("docs.rs"), other] {
            std::fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink(to, &link).unwrap();
            assert!(library_may_have_some(&sources.join("lib.rs")));
        }
    }

    fn text_may_have_some(text: &str) -> bool {
        Sources::default().text_may_have_some(text)
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
            ("fn f() {}\n///     let x = 1;", true),
            ("/// Text,\n#[inline]\n///     let x = 1;", true),
            ("/// ```text\n#[inline]\n///     let x = 1;", true),
            ("/// Text.\n///\n///    more\n///\n///\tmore", false),
            ("///Text.\nfn f() {}\n/// Text.\n///\n///    let x = 1;", true),
            ("///    let x = 1;\nmod m {\n    //!Text.\n}", true),
            ("struct A; /// ```\n/// x\n/// ```", true),
            ("a: u8, /// Text.\n///     let x = 1;", true),
            ("a: u8, /// Text.\nb: u8, //! Text.\n", false),
            ("let url = \"file:///etc/a/b\"; // ```", false),
            ("//// ```\n//////////", false),
            ("/** docs */", true),
            ("struct A; /** docs */", true),
            ("mod m { /*! docs */ }", true),
            ("/**/ let a = 1; /*** no docs */ /* ``` */", false),
            ("let glob = \"src/**/*.rs\";", false),
            ("// ```", false),
            ("/// no code", false),
        ];
        for (text, expected) in table {
            assert_eq!(text_may_have_some(text), expected, "{text}");
        }
    }

    #[test]
    fn docs_that_come_from_elsewhere_count() {
        let table = [
            ("#![doc = include_str!(\"../README.md\")]", true),
            ("#![cfg_attr(\n    doctest,\n    doc = include_str!(\"../README.md\")\n)]", true),
            ("#[doc =\n    \"```\"]", true),
            ("#[doc\n    = r#\"```\"#]", true),
            ("#[\n    // a comment\n    doc = \"```\"]", true),
            ("#[/* a comment */ doc /* another */ = \"```\"]", true),
            ("#[doc = /* a comment */ \"```\"]", true),
            ("#[r#doc = core::concat!(\"```\")]", true),
            ("#[doc = $docs]", true),
            ("documented! { doc = \"```\" }", true),
            ("#![doc(html_root_url = \"https://docs.rs/x\")]", false),
            ("let doc = parse(text);", false),
            ("let doc = \"text\";", false),
            ("set(doc == \"text\", \"https://docs.rs/doc/path/\")", false),
            ("info!(path = path.display(), doc = %doc);", false),
            ("#[path = \"other.rs\"] mod m;", true),
            ("#[ path = \"other.rs\" ] mod m;", true),
            ("#[cfg_attr(unix, path = \"unix.rs\")] mod m;", true),
            ("include!(concat!(env!(\"OUT_DIR\"), \"/bindings.rs\"));", true),
            ("std::include! {\"other.rs\"}", true),
            ("include\n![\"other.rs\"];", true),
            ("use std::include as other;", true),
            ("let text = include_str!(\"a\"); if include != text {}", false),
        ];
        for (text, expected) in table {
            assert_eq!(text_may_have_some(text), expected, "{text}");
        }
    }

    #[test]
    fn a_root_by_any_other_name_may_have_some() {
        for (name, expected) in [("lib.rs", false), ("library", true)] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join(name);
            std::fs::write(&root, "fn f() {}").unwrap();
            assert_eq!(library_may_have_some(&root), expected, "{name}");
        }
    }
}
