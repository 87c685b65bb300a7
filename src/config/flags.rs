//! Which flags may have a default in Cargo.toml: the command line's matter, which hands them over.

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// Nothing, and may be given several times.
    Count,
    Value,
    /// A value, or nothing.
    MaybeValue,
    /// Several values, each with the flag before it.
    Values,
}

/// Why a value is not one of a flag.
#[derive(Debug)]
pub enum Wrong {
    OneOf(Vec<String>),
    Because(String),
}

/// The flags that may have a default. Built only where a table has such a key.
#[derive(Clone, Copy)]
pub struct Flags {
    /// What the flag of this name takes, if it is one that may have a default.
    pub takes: fn(&str) -> Option<Takes>,
    /// Whether a flag accepts a value.
    pub check: fn(&str, &str) -> Result<(), Wrong>,
    /// The names of all.
    pub names: fn() -> Vec<String>,
    /// Whether a flag is handed on to cargo, and may have no default.
    pub is_cargos: fn(&str) -> bool,
}

impl Flags {
    /// For a table that is read for other things.
    #[cfg(test)]
    pub fn none() -> Flags {
        Flags { takes: |_| None, check: |_, _| Ok(()), names: Vec::new, is_cargos: |_| false }
    }
}
