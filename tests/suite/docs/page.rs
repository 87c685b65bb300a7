//! A page of Markdown, as far as its examples, tables, headings and links go.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

pub struct Page {
    /// Relative to the repository.
    pub path: PathBuf,
    pub text: String,
}

/// A fenced block: what it is in the words behind its fence, and what is in it.
pub struct Block {
    /// Where it begins: `docs/keys.md:5`.
    pub place: String,
    pub info: Vec<String>,
    pub text: String,
}

pub struct Table {
    /// The last heading above it.
    pub heading: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Page {
    pub fn read(path: &str) -> Page {
        let text = std::fs::read_to_string(Path::new(REPOSITORY).join(path));
        Page { path: path.into(), text: text.unwrap_or_else(|error| panic!("{path}: {error}")) }
    }

    /// All pages whose examples are run.
    pub fn all() -> Vec<Page> {
        let pages = std::fs::read_dir(Path::new(REPOSITORY).join("docs")).unwrap();
        let names = pages.map(|page| page.unwrap().file_name().into_string().unwrap());
        let mut paths: Vec<String> = names.map(|name| format!("docs/{name}")).collect();
        paths.extend(["README.md", "CONTRIBUTING.md"].map(str::to_owned));
        paths.retain(|path| path.ends_with(".md") && Path::new(REPOSITORY).join(path).exists());
        paths.sort();
        paths.iter().map(|path| Page::read(path)).collect()
    }

    /// Its lines, each with its number, whether it is inside of a block, and whether it is a fence.
    fn lines(&self) -> impl Iterator<Item = (usize, Kind, &str)> {
        let mut is_inside = false;
        self.text.lines().enumerate().map(move |(index, line)| {
            let kind = match (line.starts_with("```"), is_inside) {
                (true, false) => Kind::Opens,
                (true, true) => Kind::Closes,
                (false, true) => Kind::Code,
                (false, false) => Kind::Prose,
            };
            is_inside ^= line.starts_with("```");
            (index + 1, kind, line)
        })
    }

    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for (number, kind, line) in self.lines() {
            match kind {
                Kind::Opens => blocks.push(Block {
                    place: format!("{}:{number}", self.path.display()),
                    info: line.trim_matches('`').split(' ').map(str::to_owned).collect(),
                    text: String::new(),
                }),
                Kind::Code => {
                    let block = blocks.last_mut().expect("a block is open");
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                Kind::Closes | Kind::Prose => {}
            }
        }
        blocks
    }

    pub fn tables(&self) -> Vec<Table> {
        let mut tables: Vec<Table> = Vec::new();
        let (mut heading, mut is_in_table) = (String::new(), false);
        for (_, _, line) in self.lines().filter(|(_, kind, _)| *kind == Kind::Prose) {
            if let Some(text) = line.strip_prefix('#') {
                heading = text.trim_start_matches('#').trim().replace('`', "");
            }
            match cells(line) {
                Some(columns) if !is_in_table => {
                    tables.push(Table { heading: heading.clone(), columns, rows: Vec::new() });
                }
                Some(row) if !row[0].starts_with("--") => {
                    tables.last_mut().expect("a table is open").rows.push(row);
                }
                _ => {}
            }
            is_in_table = line.starts_with('|');
        }
        tables
    }

    /// The table below this heading.
    pub fn table(&self, heading: &str) -> Table {
        let found = self.tables().into_iter().find(|table| table.heading == heading);
        found.unwrap_or_else(|| panic!("{}: no table below `{heading}`", self.path.display()))
    }

    /// What links point to, as GitHub makes it of headings.
    pub fn anchors(&self) -> BTreeSet<String> {
        let headings = self.lines().filter(|(_, kind, _)| *kind == Kind::Prose);
        headings.filter_map(|(_, _, line)| Some(anchor(line.strip_prefix('#')?))).collect()
    }

    /// Links to other places of the repository, with their lines.
    pub fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, _, line) in self.lines().filter(|(_, kind, _)| *kind == Kind::Prose) {
            for rest in line.split("](").skip(1) {
                let target = rest.split(')').next().unwrap_or_default();
                if !target.contains("://") {
                    links.push((number, target.to_owned()));
                }
            }
        }
        links
    }

    /// What is marked as code, in blocks and in prose.
    pub fn code(&self) -> Vec<String> {
        let mut code = Vec::new();
        for (_, kind, line) in self.lines() {
            match kind {
                Kind::Code => code.push(line.to_owned()),
                Kind::Prose => code.extend(spans(line)),
                Kind::Opens | Kind::Closes => {}
            }
        }
        code
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Opens,
    Code,
    Closes,
    Prose,
}

impl Table {
    /// What stands as code in the first cells of its rows.
    pub fn names(&self) -> BTreeSet<String> {
        self.rows.iter().flat_map(|row| spans(&row[0])).collect()
    }

    /// The first span of code in this column of each row.
    pub fn column(&self, name: &str) -> Vec<String> {
        let at = self.columns.iter().position(|column| column == name);
        let at = at.unwrap_or_else(|| panic!("no column `{name}` below `{}`", self.heading));
        self.rows.iter().flat_map(|row| spans(&row[at]).into_iter().take(1)).collect()
    }
}

fn cells(line: &str) -> Option<Vec<String>> {
    let row = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(row.split('|').map(|cell| cell.trim().to_owned()).collect())
}

/// The spans of code in a line.
pub fn spans(line: &str) -> Vec<String> {
    line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
