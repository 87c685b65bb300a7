//! Where the money goes. `tests/receipt.rs` starts the program of this package; the other three share
//! a cash drawer, a file outside of their processes, and take turns by a lock with its name.
//!
//! Under `cargo partest` all of it passes: the two writers never meet anybody at the drawer, the
//! readers may meet each other. (`cargo test` needs no lock: it runs one binary after another.)

use std::fs;
use std::path::PathBuf;

pub fn receipt(cents: &[u32]) -> String {
    let lines: Vec<String> = cents
        .iter()
        .map(|cents| format!("{:>8}", euros(*cents)))
        .collect();
    format!("{}\n{:>8}\n", lines.join("\n"), euros(cents.iter().sum()))
}

fn euros(cents: u32) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Coins and notes in a file each: whoever moves money between them must be alone with it.
pub struct CashDrawer {
    directory: PathBuf,
}

impl CashDrawer {
    /// What a drawer holds in all, before and after every change of coins for notes.
    pub const TOTAL: i32 = 100;

    pub fn open(directory: PathBuf) -> CashDrawer {
        fs::create_dir_all(&directory).unwrap();
        CashDrawer { directory }
    }

    fn read(&self, kind: &str, at_first: i32) -> i32 {
        fs::read_to_string(self.directory.join(kind)).map_or(at_first, |text| text.parse().unwrap())
    }

    fn write(&self, kind: &str, amount: i32) {
        fs::write(self.directory.join(kind), amount.to_string()).unwrap();
    }

    pub fn total(&self) -> i32 {
        self.read("coins", CashDrawer::TOTAL) + self.read("notes", 0)
    }

    /// Takes coins out and puts notes in. Between the two, the total is wrong.
    pub fn change_to_notes(&self, amount: i32) {
        let (coins, notes) = (self.read("coins", CashDrawer::TOTAL), self.read("notes", 0));
        self.write("coins", coins - amount);
        self.write("notes", notes + amount);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn sums_are_written_below() {
        assert_eq!(
            super::receipt(&[250, 1000]),
            "    2.50\n   10.00\n   12.50\n"
        );
    }
}
