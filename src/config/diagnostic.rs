//! Errors and warnings about a Cargo.toml, with the place and the nearest valid word.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::error::Mistake;

/// A manifest and its text, which diagnostics quote.
#[derive(Debug)]
pub struct Source {
    /// Relative to the current directory if it is below that.
    pub path: PathBuf,
    pub text: String,
}

impl Source {
    pub fn new(path: &Path, text: String) -> Arc<Self> {
        let here = std::env::current_dir().unwrap_or_default();
        let path = path.strip_prefix(here).unwrap_or(path).to_owned();
        Arc::new(Source { path, text })
    }
}

/// A span of a manifest.
#[derive(Debug, Clone)]
pub struct Place {
    pub source: Arc<Source>,
    pub span: Range<usize>,
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && self.span == other.span
    }
}

impl std::fmt::Display for Place {
    /// `Cargo.toml:14`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let before = self.source.text.get(..self.span.start).unwrap_or_default();
        write!(f, "{}:{}", self.source.path.display(), before.matches('\n').count() + 1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// An error or a warning about a manifest.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    pub severity: Severity,
    pub place: Place,
    /// One lower-case line without full stop.
    pub title: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(place: Place, title: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Error, place, title: title.into(), help: None }
    }

    pub fn warning(place: Place, title: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(place, title) }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// For reports that are no text.
    pub fn mistake(&self) -> Mistake {
        let before = self.place.source.text.get(..self.place.span.start).unwrap_or_default();
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Mistake {
            place: Some(format!("{}:{column}", self.place)),
            message: self.title.clone(),
            help: self.help.clone(),
        }
    }

    /// The key that diagnostics are sorted by: file, then place.
    pub fn position(&self) -> (PathBuf, usize) {
        (self.place.source.path.clone(), self.place.span.start)
    }

    /// The diagnostic with the line it is about, in rustc's layout.
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let path = self.place.source.path.to_string_lossy();
        let annotation = AnnotationKind::Primary.span(self.place.span.clone());
        let snippet = Snippet::source(self.place.source.text.as_str())
            .path(path.as_ref())
            .annotation(annotation);
        let mut group = level.primary_title(self.title.as_str()).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group]).to_string()
    }
}

/// The most similar of the `known` words, if any is similar enough to be what was meant: as in
/// rustc, one that differs in a third of its letters at most; or one with the same stem, as
/// `retries` for `retry`.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// A stem that is shorter begins too many words.
    const STEM: usize = 4;
    let known: Vec<&str> = known.into_iter().collect();
    let has_stem = |candidate: &&str| {
        let common = word.bytes().zip(candidate.bytes()).take_while(|(a, b)| a == b).count();
        common >= STEM && common + 1 >= word.len()
    };
    let similar = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= word.len().max(candidate.len()).max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate);
    similar.or_else(|| known.iter().copied().find(has_stem))
}

/// ``did you mean `x`?``, or the list of known words.
pub fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected one of: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_shows_file_line_column_and_what_to_write() {
        let text = "[package]\nname = \"web\"\ntreads = 2\n";
        let source = Arc::new(Source { path: "Cargo.toml".into(), text: text.into() });
        let diagnostic = Diagnostic::error(Place { source, span: 23..29 }, "unknown key `treads`")
            .help(suggestion("treads", &["threads", "slots"]));
        let shown = diagnostic.render(false);
        assert!(shown.contains("error: unknown key `treads`"), "{shown}");
        assert!(shown.contains("Cargo.toml:3:1"), "{shown}");
        assert!(shown.contains("did you mean `threads`?"), "{shown}");
        assert_eq!(diagnostic.place.to_string(), "Cargo.toml:3");
        assert_eq!(diagnostic.mistake().place.as_deref(), Some("Cargo.toml:3:1"));
    }

    #[test]
    fn a_word_like_no_other_lists_the_known_ones() {
        assert_eq!(suggestion("zzz", &["unit", "split"]), "expected one of: unit, split");
    }
}
