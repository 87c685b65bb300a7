//! Doctests that are not in an archive: rustdoc compiles them from the sources when they run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many packages are named.
const NAMED: usize = 3;

/// The doctests of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfPackage {
    pub package: String,
    /// None if rustdoc could not list them.
    pub tests: Option<usize>,
}

/// Those of all packages, of which at least one has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutDoctests(Vec<OfPackage>);

impl LeftOutDoctests {
    /// None if there are no doctests.
    pub fn new(of_packages: Vec<OfPackage>) -> Option<LeftOutDoctests> {
        (!of_packages.is_empty()).then_some(LeftOutDoctests(of_packages))
    }
}

impl fmt::Display for LeftOutDoctests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LeftOutDoctests(of_packages) = self;
        let known: Option<usize> = of_packages.iter().map(|one| one.tests).sum();
        match known {
            Some(1) => f.write_str("1 doctest of ")?,
            Some(number) => write!(f, "{number} doctests of ")?,
            None => f.write_str("the doctests of ")?,
        }
        for (at, one) in of_packages.iter().take(NAMED).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}`{}`", one.package)?;
        }
        match of_packages.len().saturating_sub(NAMED) {
            0 => {}
            1 => f.write_str(" and 1 more package")?,
            more => write!(f, " and {more} more packages")?,
        }
        let (are, them) = if known == Some(1) { ("is", "it") } else { ("are", "them") };
        write!(
            f,
            " {are} not in the archive: rustdoc compiles {them} from the sources; `cargo partest --doc` runs {them} in a checkout"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_as_far_as_a_line_has_room() {
        let said = |all: &[(&str, Option<usize>)]| {
            let one = |(package, tests): &(&str, Option<usize>)| OfPackage {
                package: (*package).to_owned(),
                tests: *tests,
            };
            LeftOutDoctests::new(all.iter().map(one).collect()).map(|all| all.to_string())
        };
        assert_eq!(said(&[]), None);
        let table: [(&[_], _); 4] = [
            (&[("a", Some(1))], "1 doctest of `a` is not in the archive: rustdoc compiles it "),
            (&[("a", Some(1)), ("b", Some(2))], "3 doctests of `a`, `b` are not in the archive: "),
            (&[("a", Some(1)), ("b", None)], "the doctests of `a`, `b` are not in the archive: "),
            (&[("a", Some(5)); 5], "25 doctests of `a`, `a`, `a` and 2 more packages are not in "),
        ];
        for (all, expected) in table {
            let said = said(all).unwrap();
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
