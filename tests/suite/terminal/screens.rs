//! What people see, as a terminal shows it, in windows of several widths: a change of the screen is
//! a change of the files in `tests/screens/`.
//!
//! `UPDATE_SCREENS=1 cargo test --test suite terminal::screens` writes them. `⟨red bold⟩` and `⟨/⟩` stand
//! around what has a style; durations are masked.

use std::path::Path;

use regex_lite::{Captures, Regex};

use super::*;

const ROWS: u16 = 70;

/// Two tests run, one of them since the other has begun; one waits for a lock, one for a fixture.
const LIBRARY: &str = r#"
use std::path::PathBuf;

fn place(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("PLACE").unwrap()).join(name)
}

fn stays() {
    while !place("go").exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn passes() {
    std::thread::Builder::new()
        .name("reaper".into())
        .spawn(|| std::thread::sleep(std::time::Duration::from_secs(3600)))
        .unwrap();
}

#[test]
fn fails() {
    println!("looking for the cheapest one");
    let prices = vec![("apples", 3), ("pears", 4)];
    assert_eq!(prices, vec![("apples", 3), ("pears", 5)], "prices of {}", "today");
}

#[test]
#[ignore]
fn is_skipped() {}

mod archive {
    #[test]
    fn an_order_that_was_placed_in_the_first_year_of_the_shop_is_found_again_by_its_number() {
        std::fs::write(super::place("stays"), "").unwrap();
        super::stays();
    }
}

mod server {
    #[test]
    fn answers_while_it_is_being_stopped() {
        super::stays();
    }
}

mod ledger {
    #[test]
    fn is_written_by_one() {}
}

mod mail {
    #[test]
    fn is_sent() {}
}
"#;

const TABLES: &str = r#"
[package.metadata.partest.modules]
"shop::archive" = { locks = ["ledger"] }
"shop::server" = { policy = "shared", fixture = "gate" }
"shop::ledger" = { policy = "shared", fixture = "gate", locks = ["ledger"] }
"shop::mail" = { policy = "shared", fixture = "mailer" }

[package.metadata.partest.fixtures]
gate = { start = ["sh", "-c", "while [ ! -e stays ]; do sleep 0.01; done; echo PARTEST_READY; cat >/dev/null"] }
mailer = { start = ["sh", "-c", "while [ ! -e go ]; do sleep 0.01; done; echo PARTEST_READY; cat >/dev/null"] }
"#;

/// The screen, from the first line of the run on, with its styles.
fn shown(bytes: &[u8], columns: u16) -> String {
    let mut terminal = emulator(ROWS, columns);
    terminal.process(bytes);
    let screen = terminal.screen();
    let rows: Vec<String> = (0..ROWS).map(|row| styled(screen, row, columns)).collect();
    let first = rows.iter().position(|row| row.contains("Running")).unwrap_or_default();
    masked(rows[first..].join("\n").trim_end()) + "\n"
}

fn styled(screen: &vt100::Screen, row: u16, columns: u16) -> String {
    let (mut text, mut current) = (String::new(), String::new());
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column).filter(|cell| !cell.is_wide_continuation())
        else {
            continue;
        };
        let contents = if cell.has_contents() { cell.contents() } else { " " };
        let style = if contents == " " { current.clone() } else { style(cell) };
        if style != current {
            text.push_str(if current.is_empty() { "" } else { "⟨/⟩" });
            if !style.is_empty() {
                text.push_str(&format!("⟨{style}⟩"));
            }
            current = style;
        }
        text.push_str(contents);
    }
    let text = text.trim_end().to_owned();
    if current.is_empty() { text } else { text + "⟨/⟩" }
}

fn style(cell: &vt100::Cell) -> String {
    const COLORS: [&str; 8] =
        ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
    let color = match cell.fgcolor() {
        vt100::Color::Default => String::new(),
        vt100::Color::Idx(number @ 0..8) => COLORS[usize::from(number)].to_owned(),
        other => format!("{other:?}"),
    };
    let named = [
        (cell.bold(), "bold"),
        (cell.dim(), "dim"),
        (cell.underline(), "underlined"),
        (cell.inverse(), "inverse"),
    ];
    let named = named.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| (*name).to_owned());
    let words = [color].into_iter().filter(|color| !color.is_empty()).chain(named);
    words.collect::<Vec<_>>().join(" ")
}

/// Durations in the width that they take, but for those that are not shown where they are short.
fn masked(text: &str) -> String {
    let text = Regex::new(r" \(\d+(\.\d+)? s\)").unwrap().replace_all(text, "");
    let duration = Regex::new(r"( *)(\d+(?:\.\d+)?) s\b").unwrap();
    let text = duration.replace_all(&text, |found: &Captures| {
        let width = found[1].len() + found[2].len();
        if found[1].len() > 1 {
            format!("{:>width$} s", "0.0")
        } else {
            format!("{}0.0 s", &found[1])
        }
    });
    text.into_owned()
}

/// Up to the end of the last whole frame: the cursor goes back to its first line.
fn up_to_a_frame(bytes: &[u8]) -> &[u8] {
    let is_end =
        |four: &[u8]| four.starts_with(b"\x1b[") && four[2].is_ascii_digit() && four[3] == b'A';
    let end = bytes.windows(4).rposition(is_end).map_or(0, |at| at + 4);
    &bytes[..end]
}

/// While tests run, and at the end.
fn screens(columns: u16, environment: &str, is_drawn: bool) -> String {
    let script = format!(
        "unset CARGO_TERM_COLOR CLICOLOR_FORCE NO_COLOR RUST_BACKTRACE RUST_LIB_BACKTRACE; {environment} \"$0\" partest -j8 --isolate --durations 1; echo \"code $?\""
    );
    let person = Person::runs_in(Package::shop(TABLES, LIBRARY), &script, (ROWS, columns));
    let now = || {
        let bytes = person.shown.lock().unwrap();
        shown(if is_drawn { up_to_a_frame(&bytes) } else { &bytes }, columns)
    };
    let awaited: &[&str] = match is_drawn {
        true => &["1 passed", "1 failed", "1 skipped", "being_stopped", "lock ledger", "mailer"],
        false => &["FAILED"],
    };
    person.awaits_the_test();
    await_that("all that is shown", || {
        let now = now();
        awaited.iter().all(|words| now.contains(words))
    });
    let while_it_runs = now();
    person.lets_it_go();
    person.sees("code ");
    let (_, bytes) = person.ends_with_bytes();
    format!("# While tests run\n\n{while_it_runs}\n# At the end\n\n{}", shown(&bytes, columns))
}

#[track_caller]
fn is_as_kept(name: &str, screens: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(name);
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        std::fs::write(&path, screens).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == screens, "{}, which is kept:\n{kept}\nnow:\n{screens}", path.display());
}

#[test]
fn windows_of_all_widths_are_used() {
    for columns in [60, 80, 120, 200] {
        is_as_kept(&format!("{columns}-columns.txt"), &screens(columns, "", true));
    }
}

#[test]
fn there_is_a_screen_without_colors() {
    let screens = screens(80, "NO_COLOR=1", true);
    is_as_kept("no-color.txt", &screens);
    assert!(!screens.contains('⟨'), "{screens}");
}

#[test]
fn a_dumb_terminal_has_a_screen_too() {
    let screens = screens(80, "TERM=dumb", false);
    is_as_kept("dumb-terminal.txt", &screens);
    assert!(!screens.contains('⟨'), "{screens}");
}
