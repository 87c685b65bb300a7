//! The pictures in the documentation, drawn from the kept screens: they change when the screens do.
//!
//! `UPDATE_SCREENS=1 cargo test --test suite terminal::pictures` writes them.

use std::fmt::Write;
use std::path::Path;

/// Of a character cell and of the margin, in pixels.
const CELL: (f32, usize) = (7.8, 18);
const MARGIN: usize = 14;

/// Colors that can be told apart on their background, and by those who do not see red or green.
const STYLE: &str = "\
    svg{background:#fff;color:#1f2328}\
    rect{fill:#fff;stroke:#d1d9e0}\
    text{fill:#1f2328;font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}\
    .bold{font-weight:700}.dim{opacity:.62}.underlined{text-decoration:underline}\
    .red{fill:#c5221f}.green{fill:#1a7f37}.yellow{fill:#8a5d00}.cyan{fill:#0b6e82}\
    @media(prefers-color-scheme:dark){\
    svg{background:#0d1117;color:#e6edf3}\
    rect{fill:#0d1117;stroke:#3d444d}\
    text{fill:#e6edf3}\
    .red{fill:#ff7b72}.green{fill:#56d364}.yellow{fill:#e3b341}.cyan{fill:#76d9e6}}";

/// One part of a kept screen, by its heading.
fn part<'s>(screens: &'s str, heading: &str) -> &'s str {
    let (_, rest) = screens.split_once(&format!("# {heading}\n\n")).unwrap();
    rest.split("\n# ").next().unwrap().trim_end_matches('\n')
}

/// The pieces of a line that have one style, each with its first column.
fn pieces(line: &str) -> Vec<(usize, String, String)> {
    let (mut pieces, mut column) = (Vec::new(), 0);
    for piece in line.split('⟨') {
        let (style, text) = piece.split_once('⟩').unwrap_or(("", piece));
        if !text.is_empty() {
            pieces.push((column, style.trim_matches('/').to_owned(), text.to_owned()));
        }
        column += text.chars().count();
    }
    pieces
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn drawn(title: &str, screen: &str, columns: usize) -> String {
    let lines: Vec<&str> = screen.lines().collect();
    let width = (columns as f32 * CELL.0) as usize + 2 * MARGIN;
    let height = lines.len() * CELL.1 + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n<rect x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        width - 1,
        height - 1,
    );
    for (row, line) in lines.iter().enumerate() {
        let baseline = MARGIN + row * CELL.1 + CELL.1 * 3 / 4;
        for (column, style, text) in pieces(line) {
            let trimmed = text.trim_start();
            let column = column + text.chars().count() - trimmed.chars().count();
            if trimmed.is_empty() {
                continue;
            }
            // Its length keeps the columns in whatever font there is.
            let trimmed = trimmed.trim_end();
            let (left, length) =
                (MARGIN as f32 + column as f32 * CELL.0, trimmed.chars().count() as f32 * CELL.0);
            let class =
                if style.is_empty() { String::new() } else { format!(" class=\"{style}\"") };
            writeln!(
                svg,
                "<text x=\"{left:.1}\" y=\"{baseline}\" textLength=\"{length:.1}\"{class}>{}</text>",
                escaped(trimmed)
            )
            .unwrap();
        }
    }
    svg + "</svg>\n"
}

#[test]
fn pictures_in_the_documentation_show_the_kept_screens() {
    const PICTURES: [(&str, &str, &str); 2] = [
        ("running.svg", "While tests run", "cargo partest while tests run"),
        ("failure.svg", "At the end", "cargo partest reports a failure and a leak"),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let screens = std::fs::read_to_string(root.join("tests/screens/80-columns.txt")).unwrap();
    for (name, heading, title) in PICTURES {
        let screen = part(&screens, heading);
        let screen = screen.strip_suffix("\ncode 100").unwrap_or(screen);
        let svg = drawn(title, screen, 80);
        let path = root.join("docs/screens").join(name);
        if std::env::var_os("UPDATE_SCREENS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &svg).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == svg, "{} does not show the kept screen", path.display());
    }
}
