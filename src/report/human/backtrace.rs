//! The frames of a panic, without those of the standard library.

use crate::report::human::page::Page;

#[derive(Debug, PartialEq)]
struct Frame<'b> {
    number: &'b str,
    function: &'b str,
    place: Option<&'b str>,
}

/// Adds the frames below a heading; all of them with `is_verbose`.
pub fn show(page: &mut Page, backtrace: &str, is_verbose: bool) {
    let frames = frames(backtrace);
    if frames.is_empty() {
        return;
    }
    page.line("  stack backtrace:");
    // `RUST_BACKTRACE=full` asks for all of them, with their addresses.
    let is_verbose = is_verbose || frames.iter().any(|frame| frame.function.starts_with("0x"));
    let mut folded = 0;
    for frame in &frames {
        if frame.is_of_std() && !is_verbose {
            folded += 1;
            continue;
        }
        show_folded(page, std::mem::take(&mut folded));
        let Frame { number, function, .. } = frame;
        let place = frame.place.map(|place| format!(" at {}", page.paint.place(place)));
        page.behind("    ", &format!("{number:>2}: {function}{}", place.unwrap_or_default()));
    }
    show_folded(page, folded);
}

fn show_folded(page: &mut Page, folded: usize) {
    let frames = if folded == 1 { "frame" } else { "frames" };
    if folded > 0 {
        let note = format!("… {folded} {frames} of the standard library …");
        page.line(&format!("        {}", page.paint.faint(&note)));
    }
}

/// `   4: shop::opens`, and below it `             at ./src/lib.rs:29:9`.
fn frames(backtrace: &str) -> Vec<Frame<'_>> {
    let mut frames: Vec<Frame<'_>> = Vec::new();
    for line in backtrace.lines().map(str::trim) {
        if let (Some(place), Some(frame)) = (line.strip_prefix("at "), frames.last_mut()) {
            frame.place = Some(place.strip_prefix("./").unwrap_or(place));
        } else if let Some((number, function)) = line.split_once(": ") {
            frames.push(Frame { number, function: function.trim_start(), place: None });
        }
    }
    frames
}

impl Frame<'_> {
    /// By its place where that is known: a closure of the user's is called by a generic function of
    /// the library.
    fn is_of_std(&self) -> bool {
        const CRATES: [&str; 5] = ["std", "core", "alloc", "test", "__rustc"];
        let is_library = |place: &str| place.starts_with("/rustc/") || place.contains("/library/");
        let begins = |name: &str| {
            let path = self.function.trim_start_matches(['<', '&']);
            path.strip_prefix(name).is_some_and(|rest| rest.starts_with("::"))
        };
        let is_start = ["rust_begin_unwind", "main", "__libc_start_main", "_start", "clone"];
        self.place.map_or_else(
            || CRATES.iter().any(|name| begins(name)) || is_start.contains(&self.function),
            is_library,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::Paint;

    const FRAMES: &str = "   0: __rustc::rust_begin_unwind
             at /rustc/5980/library/std/src/panicking.rs:689:5
   1: core::panicking::panic_fmt
             at /rustc/5980/library/core/src/panicking.rs:80:14
   2: shop::open
             at ./src/lib.rs:29:9
   3: core::ops::function::FnOnce::call_once
  12: __libc_start_main
";

    #[test]
    fn frames_of_the_standard_library_are_folded() {
        let shown = |is_verbose| {
            let mut page = Page::new(Paint(false), None);
            show(&mut page, FRAMES, is_verbose);
            page.into_text()
        };
        let expected = "  stack backtrace:
        … 2 frames of the standard library …
     2: shop::open at src/lib.rs:29:9
        … 2 frames of the standard library …
";
        assert_eq!(shown(false), expected);
        assert_eq!(shown(true).lines().count(), 6);
    }

    #[test]
    fn a_full_backtrace_stays_whole() {
        let full = "   0:     0x5581 - std::backtrace::print\n                               at /rustc/5980/library/std/src/a.rs:1:2\n";
        let mut page = Page::new(Paint(false), None);
        show(&mut page, full, false);
        assert!(page.into_text().contains("0x5581"));
    }
}
